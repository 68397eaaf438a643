import { loadTensorflow } from "../../graph/tensorflow.js";
import { predictedClasses } from "../../measure/classes.js";
import { EpochBatches } from "../batches/epoch-batches.js";
import { noiseSeed } from "../batches/epoch-order.js";
import { createOptimizer, type Optimizer } from "./optimizers.js";
import { figuresOfTargets, logarithmsOf, lossFigures } from "../model/cross-entropy.js";
import { factorLayers } from "../noise/dropout-factors.js";
import type {
  CreateLearner,
  EpochSetting,
  OnValidatedRows,
  TrainedEpoch,
  ValidatedEpoch,
} from "../head-learner.js";
import { figuresOfRule } from "../keep-rule.js";
import { HeadNetwork } from "./head-network.js";
import type { JoinedRows, RowSet } from "../model/row-set.js";
import type { Schedule } from "../schedule.js";

/** Trains with TensorFlow.js's gradients and the optimisers on plain arrays: the reference, and the learner of the engine `tfjs`. */
export const createTfjsLearner: CreateLearner = async (setting, start, rows) => {
  const { tf } = await loadTensorflow();
  const network = new HeadNetwork(tf, setting.head, start.weights);
  const optimizer = createOptimizer(setting.training.optimizer, start.optimizer);
  return {
    trainEpoch: (epoch, schedule) =>
      Promise.resolve(trainEpoch(setting, { network, optimizer, schedule }, rows, epoch)),
    validate: (validation, onRows) => Promise.resolve(validate(setting, network, validation, onRows)),
    snapshot: () => network.snapshot(),
    get optimizerState() {
      return optimizer.state;
    },
    release: () => Promise.resolve(),
  };
};

interface Parts {
  readonly network: HeadNetwork;
  readonly optimizer: Optimizer;
  readonly schedule: Schedule;
}

function trainEpoch(setting: EpochSetting, parts: Parts, rows: JoinedRows, epoch: number): TrainedEpoch {
  const { head, training, featureCount, classCount, seed } = setting;
  const { batchSize, labelSmoothing, mixup } = training;
  const isWeighted = setting.classWeights !== undefined;
  const batches = new EpochBatches(setting, rows, epoch);
  const noise = factorLayers(head, featureCount, noiseSeed(seed, epoch));
  const stepsPerEpoch = Math.ceil(rows.count / batchSize);
  let [loss, correct, learningRate] = [0, 0, 0];
  for (let step = 0; step < stepsPerEpoch; step += 1) {
    const count = batches.rowsOfNext;
    const features = new Float32Array(count * featureCount);
    const labels = new Int32Array(count);
    const targets = new Float32Array(count * classCount);
    const rowWeights = isWeighted ? new Float32Array(count) : undefined;
    batches.take(1, { features, labels, targets, rowWeights });
    const batch = { features, targets, rowWeights, rows: count };
    const { logits, gradients } = parts.network.gradients(batch, noise);
    learningRate = parts.schedule.learningRate({ epoch, step, stepsPerEpoch });
    parts.optimizer.apply(parts.network.weights, gradients, learningRate);
    const figures =
      mixup > 0 || isWeighted
        ? figuresOfTargets(logarithmsOf(logits, classCount), { labels, targets, rowWeights }, classCount)
        : lossFigures(logits, labels, classCount, labelSmoothing);
    loss += figures.loss;
    correct += figures.correct;
  }
  return { learningRate, trainLoss: loss / rows.count, trainAccuracy: correct / rows.count };
}

function validate(
  setting: EpochSetting,
  network: HeadNetwork,
  { features, labels }: RowSet,
  onRows: OnValidatedRows | undefined,
): ValidatedEpoch {
  const { classCount, training } = setting;
  const logits = network.logits(features, labels.length);
  const { loss, correct } = lossFigures(logits, labels, classCount, training.labelSmoothing);
  onRows?.(0, logarithmsOf(logits, classCount));
  const predicted = () => predictedClasses(Float64Array.from(logits), classCount);
  return {
    validationLoss: loss / labels.length,
    validationAccuracy: correct / labels.length,
    ...figuresOfRule(training.keep, predicted, labels, classCount),
  };
}
