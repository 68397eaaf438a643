import { TrommelError } from "../../index.js";
import type { FailureReason, Run, Scoring } from "../../index.js";
import { isDetached, showWork, type FollowFlags } from "../follow.js";
import { withInterrupts, type ClusterFlags, type GlobalFlags } from "../handle.js";
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
    const detach = isDetached(terminal, flags);
    const { reason: reasons, run: newId, output } = flags;
    if (!isRun(work)) refuseRunFlags(id, flags);
    const { of, retry: retried } = isRun(work)
      ? await work.retry({ reasons, id: newId, output, detach, signal })
      : await work.retry({ reasons, detach, signal });
    if (retried !== undefined) {
      await showWork(terminal, retried, detach);
      return;
    }
    const why = reasons === undefined ? "" : ` for ${reasons.join(", ")}`;
    terminal.say(`${of}: no file failed${why}, so there is nothing to try again`);
    terminal.result({ id: of, kind: work.kind, phase: "complete", retried: 0 });
  });
}

function isRun(work: Run | Scoring): work is Run {
  return work.kind === "run";
}

function refuseRunFlags(id: string, flags: RetryFlags): void {
  const given = (["run", "output"] as const).filter((name) => flags[name] !== undefined);
  if (given.length === 0) return;
  throw new TrommelError(
    "invalid-argument",
    `cannot try ${id} again with ${given.map((name) => `--${name}`).join(", ")}: the files of a scoring are tried again in place. Leave it out`,
  );
}
