import type { FailureReason, FailedImages } from "../../index.js";
import { counted } from "../describe/counted.js";
import { describeLedger } from "../describe/describe-sum.js";
import { withTrommel, type GlobalFlags } from "../handle.js";
import { tableOf } from "../table.js";
import type { Terminal } from "../terminal.js";

type ErrorsFlags = GlobalFlags & { readonly reason?: readonly FailureReason[]; readonly limit: number };

/** `trommel errors <id>` */
export async function errors(terminal: Terminal, id: string, flags: ErrorsFlags): Promise<void> {
  await withTrommel(terminal, flags, async (trommel) => {
    const work = await trommel.run(id);
    const failures = await work.failures({ skippedAtMost: flags.limit });
    const shown = Object.keys(failures.sums.failedByReason).filter(
      (reason) => flags.reason === undefined || (flags.reason as readonly string[]).includes(reason),
    );
    for (const line of describe(failures, shown, flags)) terminal.say(line);
    const { complete, sums, failed, skipped } = failures;
    terminal.result({
      id,
      kind: work.kind,
      complete,
      ...sums,
      errors: failures.errors,
      failedImages: (flags.reason ?? shown).flatMap((reason) =>
        failed.filter((image) => image.reason === reason).slice(0, flags.limit),
      ),
      skippedKeys: skipped,
    });
  });
}

function* describe(
  failures: FailedImages,
  shown: readonly string[],
  { reason, limit }: ErrorsFlags,
): Generator<string> {
  const { sums, failed, skipped, complete, errors } = failures;
  const isOne = sums.shards === 1;
  const soFar = complete ? "" : ` in the ${counted(sums.shards, "shard")} that ${isOne ? "is" : "are"} done`;
  yield `${describeLedger(sums)}${soFar}`;
  const byReason = shown.map((name) => `${name} ${sums.failedByReason[name]}`);
  if (byReason.length > 0) yield `failed: ${byReason.join(", ")}`;
  const skips = reason === undefined ? Object.entries(sums.skippedByReason) : [];
  if (skips.length > 0) yield `skipped: ${skips.map(([name, files]) => `${name} ${files}`).join(", ")}`;
  const excluded = reason === undefined ? Object.entries(sums.excludedByPattern ?? {}) : [];
  for (const [pattern, files] of excluded) yield `excluded: ${files} by ${JSON.stringify(pattern)}`;
  const rows: string[][] = [];
  const more: string[] = [];
  const all = complete ? `all in ${errors}` : `all in ${errors} once it is complete`;
  for (const name of shown) {
    const images = failed.filter((image) => image.reason === name).slice(0, limit);
    for (const { key, detail } of images) rows.push([name, key, detail]);
    const left = (sums.failedByReason[name] ?? 0) - images.length;
    if (left > 0) more.push(`… and ${left} more that are ${name}, ${all}`);
  }
  for (const [name, files] of skips) {
    const keys = skipped.filter((file) => file.reason === name);
    for (const { key } of keys) rows.push([`skipped: ${name}`, key, ""]);
    if (name === "excluded" || name === "not-included") continue;
    if (files > keys.length) more.push(`… and ${files - keys.length} more that are skipped: ${name}`);
  }
  yield* tableOf(["reason", "file", "detail"], rows);
  yield* more;
}
