import { readRecipe } from "../flags/recipe-flags.js";
import { isDetached, showWork, type FollowFlags } from "../follow.js";
import { withInterrupts, type ClusterFlags, type GlobalFlags } from "../handle.js";
import type { Terminal } from "../terminal.js";

type TrainFlags = GlobalFlags &
  ClusterFlags &
  FollowFlags &
  Readonly<Record<string, unknown>> & { readonly run?: string; readonly output?: string };

/** `trommel train [prefix]` */
export async function train(
  terminal: Terminal,
  prefix: string | undefined,
  flags: TrainFlags,
): Promise<void> {
  await withInterrupts(terminal, flags, async (trommel, signal) => {
    const recipe = await readRecipe(trommel.recipes, flags);
    const detach = isDetached(terminal, flags);
    const { run: id, output } = flags;
    const run = await trommel.train(prefix, recipe, { id, output, detach, signal });
    await showWork(terminal, run, detach);
  });
}
