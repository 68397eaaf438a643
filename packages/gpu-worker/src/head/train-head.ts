import { setImmediate as nextTurn } from "node:timers/promises";
import {
  SeededRandom,
  TrommelError,
  seedFrom,
  type EpochRecord,
  type HeadRecipe,
  type HeadWeights,
  type TrainingRecipe,
} from "@trommel/common";
import { loadTensorflow } from "../graph/tensorflow.js";
import { Adam } from "./adam.js";
import { lossFigures, smoothedTargets } from "./cross-entropy.js";
import { factorLayers } from "./dropout-factors.js";
import { initialWeights } from "./head-model.js";
import { HeadNetwork } from "./head-network.js";
import { PlateauSchedule } from "./plateau-schedule.js";

export interface TrainHeadInputs {
  /** [rows, featureCount], row-major */
  readonly features: Float32Array;
  /** The class of each row, 0..classCount − 1. */
  readonly labels: Int32Array;
  /** [rows, featureCount], row-major */
  readonly validationFeatures: Float32Array;
  readonly validationLabels: Int32Array;
  readonly classCount: number;
  readonly head: HeadRecipe;
  readonly training: TrainingRecipe;
  readonly seed: number;
  /** Looked at between epochs. */
  readonly signal?: AbortSignal;
  readonly onEpoch?: (record: EpochRecord) => void;
}

export interface TrainedHead {
  readonly weights: HeadWeights;
  /** From 1. */
  readonly bestEpoch: number;
  readonly history: readonly EpochRecord[];
}

/**
 * Trains a head on projected features with TensorFlow.js. The same inputs give the same bytes: the order of rows and the
 * noise of an epoch come from (seed, epoch). The last batch of an epoch may be smaller.
 *
 * As in Keras, the training figures are means over the epoch's batches as they were met, noise included, and the loss of
 * both splits is the smoothed one. The weights of the epoch with the best validation accuracy are kept, the later on a tie.
 *
 * @throws TrommelError `bad-dataset` without training or validation rows or when the loss stops being finite,
 *   `cancelled` when the signal aborts, `internal` when lengths or labels do not fit
 */
export async function trainHead(inputs: TrainHeadInputs): Promise<TrainedHead> {
  const featureCount = checkInputs(inputs);
  const { head, training, classCount, seed } = inputs;
  const { tf } = await loadTensorflow();
  const network = new HeadNetwork(tf, head, initialWeights(head, featureCount, classCount, seed));
  const { optimizer: optimizerRecipe, schedule: scheduleRecipe } = training;
  if (optimizerRecipe.type !== "adam" || scheduleRecipe.type !== "plateau") {
    throw new TrommelError("unsupported", "failed to train the head: only adam on a plateau schedule is there");
  }
  const optimizer = new Adam(optimizerRecipe);
  const schedule = new PlateauSchedule(scheduleRecipe, optimizerRecipe.learningRate);
  const history: EpochRecord[] = [];
  let best = { epoch: 0, accuracy: -1, weights: network.snapshot() };
  for (let epoch = 1; epoch <= training.epochs; epoch += 1) {
    checkSignal(inputs.signal, epoch);
    const { learningRate } = schedule;
    const trained = trainEpoch({ inputs, featureCount, network, optimizer, learningRate, epoch });
    const validated = validate(inputs, network);
    const record = {
      epoch,
      learningRate,
      trainLoss: trained.loss,
      trainAccuracy: trained.accuracy,
      validationLoss: validated.loss,
      validationAccuracy: validated.accuracy,
    };
    checkFinite(record);
    history.push(record);
    if (keepsBetter(record, best)) {
      best = { epoch, accuracy: validated.accuracy, weights: network.snapshot() };
    }
    schedule.epochEnded(validated.loss);
    inputs.onEpoch?.(record);
    await nextTurn();
  }
  return { weights: best.weights, bestEpoch: best.epoch, history };
}

/** Best validation accuracy, the later on a tie. */
export function keepsBetter(
  record: Pick<EpochRecord, "validationAccuracy">,
  best: { readonly accuracy: number },
): boolean {
  return record.validationAccuracy >= best.accuracy;
}

interface EpochInputs {
  readonly inputs: TrainHeadInputs;
  readonly featureCount: number;
  readonly network: HeadNetwork;
  readonly optimizer: Adam;
  readonly learningRate: number;
  readonly epoch: number;
}

function trainEpoch({ inputs, featureCount, network, optimizer, learningRate, epoch }: EpochInputs) {
  const { labels, classCount, training, seed } = inputs;
  const order = new SeededRandom(seedFrom(seed, "order", epoch)).shuffle(Int32Array.from(labels.keys()));
  const noise = factorLayers(inputs.head, featureCount, seedFrom(seed, "noise", epoch));
  let loss = 0;
  let correct = 0;
  for (let start = 0; start < order.length; start += training.batchSize) {
    const rows = order.subarray(start, start + training.batchSize);
    const batchLabels = rows.map((row) => labels[row] as number);
    const targets = smoothedTargets(batchLabels, classCount, training.labelSmoothing);
    const batch = { features: gatherRows(inputs.features, rows, featureCount), targets, rows: rows.length };
    const { logits, gradients } = network.gradients(batch, noise);
    optimizer.apply(network.weights, gradients, learningRate);
    const figures = lossFigures(logits, batchLabels, classCount, training.labelSmoothing);
    loss += figures.loss;
    correct += figures.correct;
  }
  return { loss: loss / order.length, accuracy: correct / order.length };
}

function validate(inputs: TrainHeadInputs, network: HeadNetwork) {
  const { validationFeatures, validationLabels, classCount, training } = inputs;
  const rows = validationLabels.length;
  const logits = network.logits(validationFeatures, rows);
  const { loss, correct } = lossFigures(logits, validationLabels, classCount, training.labelSmoothing);
  return { loss: loss / rows, accuracy: correct / rows };
}

function gatherRows(features: Float32Array, rows: Int32Array, width: number): Float32Array {
  const gathered = new Float32Array(rows.length * width);
  for (const [i, row] of rows.entries()) {
    gathered.set(features.subarray(row * width, (row + 1) * width), i * width);
  }
  return gathered;
}

/** @returns the number of features a row has */
function checkInputs(inputs: TrainHeadInputs): number {
  const { features, labels, validationFeatures, validationLabels, classCount } = inputs;
  if (labels.length === 0 || validationLabels.length === 0) {
    throw new TrommelError(
      "bad-dataset",
      `failed to train the head: ${labels.length} training and ${validationLabels.length} validation rows, ` +
        "each needs at least one. Give more readable images, or another validation fraction.",
    );
  }
  const featureCount = features.length / labels.length;
  const fits = Number.isInteger(featureCount) && featureCount > 0;
  const wrong = [...labels, ...validationLabels].find((label) => label < 0 || label >= classCount);
  if (!fits || validationFeatures.length !== validationLabels.length * featureCount || wrong !== undefined) {
    throw new TrommelError(
      "internal",
      `failed to train the head: ${features.length} values of ${labels.length} training rows, ` +
        `${validationFeatures.length} of ${validationLabels.length} validation rows, ${classCount} classes` +
        `${wrong === undefined ? "" : `, label ${wrong}`} do not fit together.`,
    );
  }
  return featureCount;
}

function checkSignal(signal: AbortSignal | undefined, epoch: number): void {
  if (signal?.aborted !== true) return;
  throw new TrommelError("cancelled", `failed to train the head: cancelled before epoch ${epoch}.`, {
    cause: signal.reason,
  });
}

function checkFinite(record: EpochRecord): void {
  if (Number.isFinite(record.trainLoss) && Number.isFinite(record.validationLoss)) return;
  throw new TrommelError(
    "bad-dataset",
    `failed to train the head: in epoch ${record.epoch} the loss is ${record.trainLoss} in training and ` +
      `${record.validationLoss} in validation, at learning rate ${record.learningRate}. ` +
      "Lower the learning rate, or check the features for values that are not finite.",
  );
}
