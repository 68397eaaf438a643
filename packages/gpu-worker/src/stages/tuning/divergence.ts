import { TrommelError } from "@trommel/common";
import { roundSpan } from "@trommel/common/artefacts";
import type { TuningRun } from "./tuning-run.js";

/** A loss that is not finite. @param at.step within its epoch, from 0; undefined for a checkpoint */
export function divergence(
  { config, tune, rounds }: TuningRun,
  at: { readonly round: number; readonly step?: number },
): TrommelError {
  const { epoch } = roundSpan(rounds, at.round);
  const what =
    at.step === undefined
      ? `the loss on the held-out images after round ${at.round + 1}`
      : `the loss of step ${at.step + 1} of epoch ${epoch}, in round ${at.round + 1}`;
  const { learningRate } = tune.optimizer;
  return new TrommelError(
    "invalid-argument",
    `cannot tune ${config.id}: ${what} is not finite. Lower tune.optimizer.learningRate, which is ${learningRate}, warm up for longer (tune.schedule.warmupEpochs), or bound the gradients with tune.clipNorm, under another id`,
    { context: { round: at.round, epoch, learningRate } },
  );
}
