import { SeededRandom, seedFrom, type HeadRecipe, type TrainingRecipe } from "@trommel/common";
import { lossFigures, smoothedTargets } from "./cross-entropy.js";
import { factorLayers } from "./dropout-factors.js";
import type { HeadNetwork } from "./head-network.js";
import type { Optimizer } from "./optimizer.js";
import type { JoinedRows, RowSet } from "./row-set.js";
import type { Schedule } from "./schedule.js";

/** What stays the same from epoch to epoch. */
export interface EpochSetting {
  readonly head: HeadRecipe;
  readonly training: TrainingRecipe;
  readonly featureCount: number;
  readonly classCount: number;
  readonly seed: number;
}

/** What an epoch changes. */
export interface Learner {
  readonly network: HeadNetwork;
  readonly optimizer: Optimizer;
  readonly schedule: Schedule;
}

export interface TrainedEpoch {
  /** Means over the epoch's batches as they were met, noise included. */
  readonly trainLoss: number;
  readonly trainAccuracy: number;
  /** Of the last step. */
  readonly learningRate: number;
}

/** One pass over all rows; their order and the noise come from (seed, epoch). The last batch may be smaller. */
export function trainEpoch(
  setting: EpochSetting,
  learner: Learner,
  rows: JoinedRows,
  epoch: number,
): TrainedEpoch {
  const { head, training, featureCount, classCount, seed } = setting;
  const { batchSize, labelSmoothing } = training;
  const order = Int32Array.from({ length: rows.count }, (_, row) => row);
  new SeededRandom(seedFrom(seed, "order", epoch)).shuffle(order);
  const noise = factorLayers(head, featureCount, seedFrom(seed, "noise", epoch));
  const stepsPerEpoch = Math.ceil(rows.count / batchSize);
  let [loss, correct, learningRate] = [0, 0, 0];
  for (let step = 0; step < stepsPerEpoch; step += 1) {
    const { features, labels } = rows.gather(order.subarray(step * batchSize, (step + 1) * batchSize));
    const targets = smoothedTargets(labels, classCount, labelSmoothing);
    const { logits, gradients } = learner.network.gradients(
      { features, targets, rows: labels.length },
      noise,
    );
    learningRate = learner.schedule.learningRate({ epoch, step, stepsPerEpoch });
    learner.optimizer.apply(learner.network.weights, gradients, learningRate);
    const figures = lossFigures(logits, labels, classCount, labelSmoothing);
    loss += figures.loss;
    correct += figures.correct;
  }
  return { learningRate, trainLoss: loss / rows.count, trainAccuracy: correct / rows.count };
}

/** Loss (the smoothed one) and accuracy on the validation rows, without noise. */
export function validate(setting: EpochSetting, network: HeadNetwork, { features, labels }: RowSet) {
  const { classCount, training } = setting;
  const logits = network.logits(features, labels.length);
  const { loss, correct } = lossFigures(logits, labels, classCount, training.labelSmoothing);
  return { validationLoss: loss / labels.length, validationAccuracy: correct / labels.length };
}
