import { isDetached, showWork, type FollowFlags } from "../follow.js";
import { withInterrupts, type ClusterFlags, type GlobalFlags } from "../handle.js";
import { exitCodes, type Terminal } from "../terminal.js";

type SortFlags = GlobalFlags &
  ClusterFlags &
  FollowFlags & {
    readonly into: string;
    readonly min?: number;
    readonly link?: true;
    readonly move?: true;
  };

/** `trommel sort <scoring> --into …` */
export async function sort(terminal: Terminal, source: string, flags: SortFlags): Promise<void> {
  await withInterrupts(terminal, flags, async (trommel, signal) => {
    const work = await trommel.scoring(source, { signal });
    const { into, min } = flags;
    const how = flags.link === true ? "link" : flags.move === true ? "move" : "copy";
    const detach = isDetached(terminal, flags);
    const sorting = await work.startSort({ into, min, how, detach, signal });
    const result = await showWork(terminal, sorting, detach);
    if (result?.sorted !== undefined && result.sorted.unplaced > 0) terminal.exitCode = exitCodes.failed;
  });
}
