import type { FailureReason } from "@trommel/common";
import { printable } from "@trommel/common/printable";
import { readFailedImages, type FailedImages } from "@trommel/coordinator/run-control/failed-images";
import { findSubject } from "@trommel/coordinator/run-control/run-state";
import { Session, type GlobalFlags } from "../session.js";
import type { Terminal } from "../terminal.js";

type ErrorsFlags = GlobalFlags & { readonly reason?: readonly FailureReason[]; readonly limit: number };

/** `trommel errors <run>` */
export async function errors(terminal: Terminal, id: string, flags: ErrorsFlags): Promise<void> {
  const session = new Session(terminal, flags);
  try {
    const subject = await findSubject(session.store, id);
    const failures = await readFailedImages(session.store, subject, flags.limit);
    const shown = new Set<string>(flags.reason ?? Object.keys(failures.sums.failedByReason));
    for (const line of describe(failures, shown, flags)) session.say(line);
    const { complete, sums, failed, skipped } = failures;
    session.result({
      id,
      kind: subject.kind,
      complete,
      ...sums,
      errors: failures.errors,
      failedRows: [...shown].flatMap((reason) =>
        failed.filter((row) => row.reason === reason).slice(0, flags.limit),
      ),
      skippedKeys: skipped,
    });
  } finally {
    await session.close();
  }
}

function* describe(
  failures: FailedImages,
  shown: ReadonlySet<string>,
  { reason, limit }: ErrorsFlags,
): Generator<string> {
  const { sums, failed, skipped, complete, errors } = failures;
  const soFar = complete ? "" : ` in the ${sums.shards} shards that are done`;
  yield `${sums.listed} listed = ${sums.ok} ok + ${sums.failed} failed + ${sums.skipped} skipped${soFar}`;
  const all = complete ? `all in ${errors}` : `all in ${errors} once it is complete`;
  for (const [name, files] of Object.entries(sums.failedByReason)) {
    if (!shown.has(name)) continue;
    yield `${name}: ${files}`;
    const rows = failed.filter((row) => row.reason === name).slice(0, limit);
    for (const { key, detail } of rows)
      yield `  ${printable(key)}${detail === "" ? "" : ` (${printable(detail)})`}`;
    if (files > rows.length) yield `  … and ${files - rows.length} more, ${all}`;
  }
  if (reason !== undefined) return;
  for (const [name, files] of Object.entries(sums.skippedByReason)) {
    yield `skipped, ${name}: ${files}`;
    const keys = skipped.filter((row) => row.reason === name);
    for (const { key } of keys) yield `  ${printable(key)}`;
    if (files > keys.length) yield `  … and ${files - keys.length} more`;
  }
}
