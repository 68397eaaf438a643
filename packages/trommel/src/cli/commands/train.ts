import { describeForecast } from "../describe/describe-forecast.js";
import { readRecipe } from "../flags/recipe-flags.js";
import { sourceOf, steeringOf, type SourceFlags, type SteeringFlags } from "../flags/shared-flags.js";
import { isDetached, showWork, type FollowFlags } from "../follow.js";
import { withInterrupts, type ClusterFlags, type GlobalFlags } from "../handle.js";
import type { Terminal } from "../terminal.js";

type TrainFlags = GlobalFlags &
  ClusterFlags &
  FollowFlags &
  SteeringFlags &
  SourceFlags &
  Readonly<Record<string, unknown>> & {
    readonly run?: string;
    readonly labels?: string;
    readonly output?: string;
    readonly dryRun?: true;
  };

/** `trommel train [prefix]` */
export async function train(
  terminal: Terminal,
  prefix: string | undefined,
  flags: TrainFlags,
): Promise<void> {
  await withInterrupts(terminal, flags, async (trommel, signal) => {
    const recipe = await readRecipe(trommel.recipes, flags);
    const { run: id, output } = flags;
    const source = sourceOf(flags.labels === undefined ? flags : { ...flags, labelColumn: undefined });
    if (flags.dryRun === true) {
      const forecast = await trommel.forecast(prefix, recipe, { id, ...source, output, signal });
      for (const line of describeForecast(forecast)) terminal.say(line);
      terminal.result(forecast);
      return;
    }
    const detach = isDetached(terminal, flags);
    const run = await trommel.train(prefix, recipe, {
      ...{ id, ...source, output, detach, signal },
      ...steeringOf(flags),
    });
    await showWork(terminal, run, detach);
  });
}
