import { TrommelError } from "@trommel/common";
import { roundSpan } from "@trommel/common/artefacts";
import type { TuningRun } from "./tuning-run.js";

/** No mean cross-entropy of a network that learns is this large: that of equal probabilities is below ten. */
const lossAtMost = 1e4;

/**
 * @param at.step within its epoch, from 0; undefined for a checkpoint
 * @throws TrommelError `invalid-argument` for a loss that is not finite, or huge
 */
export function refuseDivergence(
  { config, tune, rounds }: Pick<TuningRun, "config" | "tune" | "rounds">,
  loss: number,
  at: { readonly round: number; readonly step?: number },
): void {
  if (loss < lossAtMost) return;
  const { epoch } = roundSpan(rounds, at.round);
  const what =
    at.step === undefined
      ? `the loss on the held-out images after round ${at.round + 1}`
      : `the loss of step ${at.step + 1} of epoch ${epoch}, in round ${at.round + 1}`;
  const { learningRate } = tune.optimizer;
  throw new TrommelError(
    "invalid-argument",
    `cannot tune ${config.id}: ${what} is ${Number.isFinite(loss) ? loss.toExponential(1) : "not finite"}. Lower tune.optimizer.learningRate, which is ${learningRate}, warm up for longer (tune.schedule.warmupEpochs), or bound the gradients with tune.clipNorm, under another id`,
    { context: { round: at.round, epoch, learningRate } },
  );
}
