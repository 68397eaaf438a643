import { epochLosses, readRoundFigures, type RoundSpan } from "@trommel/common/artefacts";
import type { ObjectStore } from "@trommel/common";
import { createSchedule } from "../../head/schedule.js";
import type { TuningRun } from "./tuning-run.js";

/**
 * The learning rates of a round by its steps: the position in the schedule is that of the step among those of all rounds, whatever
 * their length. `plateau` takes the held-out losses at the ends of the epochs before.
 */
export async function stepRates(
  store: ObjectStore,
  { config, tune, rounds }: TuningRun,
  { epoch, firstStep }: RoundSpan,
): Promise<(step: number) => number> {
  const { schedule: recipe, optimizer, epochs } = tune;
  const { stepsPerEpoch, roundsPerEpoch } = rounds;
  const schedule = createSchedule(recipe, optimizer.learningRate, epochs);
  if (recipe.type === "plateau") {
    const before = await readRoundFigures(store, config.id, (epoch - 1) * roundsPerEpoch);
    for (const loss of epochLosses(before, roundsPerEpoch)) schedule.epochEnded(loss);
  }
  return (step) => schedule.learningRate({ epoch, step: firstStep + step, stepsPerEpoch });
}
