import { TrommelError } from "../../index.js";
import type { FailureReason, Ledger } from "../../index.js";
import { isDetached, isScoring, showWork, type FollowFlags } from "../follow.js";
import { withInterrupts, type ClusterFlags, type GlobalFlags } from "../handle.js";
import { isRun } from "../round-lines.js";
import type { Terminal } from "../terminal.js";

type RetryFlags = GlobalFlags &
  ClusterFlags &
  FollowFlags & {
    readonly reason?: readonly FailureReason[];
    readonly run?: string;
    readonly output?: string;
  };

/** `trommel retry <id>` */
export async function retry(terminal: Terminal, id: string, flags: RetryFlags): Promise<void> {
  await withInterrupts(terminal, flags, async (trommel, signal) => {
    const work = await trommel.run(id);
    if (!isRun(work) && !isScoring(work)) {
      throw new TrommelError(
        "invalid-argument",
        `cannot try the failed files of ${id} again: it is a ${work.kind}, and 'trommel resume ${id}' continues it. Give a run or scoring`,
      );
    }
    const detach = isDetached(terminal, flags);
    const { reason: reasons, run: newId, output } = flags;
    if (!isRun(work)) refuseRunFlags(id, flags);
    const { of, retry: retried } = isRun(work)
      ? await work.retry({ reasons, id: newId, output, detach, signal })
      : await work.retry({ reasons, detach, signal });
    if (retried !== undefined) {
      await showWork(terminal, retried, detach);
      if (!isRun(work)) return;
      const [before, after] = await Promise.all([(await trommel.run(of)).status(), retried.status()]);
      if (before.result === undefined || after.result === undefined) return;
      const nothing = describeNothingRecovered(before.result.ledger, after.result.ledger, reasons);
      if (nothing !== undefined)
        terminal.say(`${nothing}: ${retried.id} is trained on the same images as ${of}`);
      return;
    }
    const why = reasons === undefined ? "" : ` for ${reasons.join(", ")}`;
    terminal.say(`${of}: no file failed${why}, so there is nothing to try again`);
    terminal.result({ id: of, kind: work.kind, phase: "complete", retried: 0 });
  });
}

/** @returns undefined if a file was recovered */
export function describeNothingRecovered(
  before: Pick<Ledger, "ok" | "failedByReason">,
  after: Pick<Ledger, "ok">,
  reasons: readonly FailureReason[] | undefined,
): string | undefined {
  if (after.ok > before.ok) return undefined;
  const tried = Object.entries(before.failedByReason)
    .filter(([reason]) => reasons === undefined || (reasons as readonly string[]).includes(reason))
    .reduce((sum, [, files]) => sum + files, 0);
  return tried === 1
    ? "the file could not be read this time either"
    : `none of the ${tried} files could be read this time`;
}

function refuseRunFlags(id: string, flags: RetryFlags): void {
  const given = (["run", "output"] as const).filter((name) => flags[name] !== undefined);
  if (given.length === 0) return;
  throw new TrommelError(
    "invalid-argument",
    `cannot try ${id} again with ${given.map((name) => `--${name}`).join(", ")}: the files of a scoring are tried again in place. Leave it out`,
  );
}
