import { Tensor, type InferenceSession } from "../../graph/onnx/onnx-runtime.js";
import { ReleaseStack, TrommelError, type HeadWeights } from "@trommel/common";
import { predictedClasses } from "../../measure/classes.js";
import { figuresOfRule } from "../keep-rule.js";
import type { StepBlock } from "./step-block.js";
import { figuresOfLogarithms, figuresOfTargets } from "../model/cross-entropy.js";
import { factorShapes } from "../noise/dropout-factors.js";
import { momentKinds } from "./emit-optimizer.js";
import type {
  CreateLearner,
  EpochSetting,
  HeadLearner,
  LearnerStart,
  TrainedEpoch,
  ValidatedEpoch,
} from "../head-learner.js";
import type { OnValidatedRows, OptimizerState } from "../head-learner.js";
import type { RowSet } from "../model/row-set.js";
import { createInlineSource, createThreadSource, type BlockSource } from "./block-source.js";
import type { Schedule } from "../schedule.js";
import { openHeadSession, takeData, unshared } from "./head-session.js";
import { createStepRates, rateCount } from "./step-rates.js";
import {
  buildTrainingGraph,
  buildValidationGraph,
  graphNames,
  type TrainingGraphSetting,
} from "./training-graph.js";
import { groupWeights, packGroup, unpackGroup, type WeightGroup } from "./weight-groups.js";

/** Bounds the validation rows that ONNX Runtime sees at once. */
const chunkRows = 1024;

/**
 * Trains with one compiled graph of forward pass, backward pass and optimiser. It always runs on the CPU: a step computes so
 * little that a transfer to a device would take longer. For the same reason it uses one thread, with a second one that
 * prepares batches, so the bytes do not depend on the number of threads.
 */
export const createCompiledLearner: CreateLearner = async (setting, start, rows) => {
  const graph = graphSetting(setting, start.weights);
  const releases = new ReleaseStack();
  try {
    const open = async (name: string, model: Uint8Array): Promise<InferenceSession> => {
      const session = await openHeadSession(model);
      releases.add(name, () => session.release());
      return session;
    };
    const training = await open("training session", buildTrainingGraph(graph));
    const validation = await open("validation session", buildValidationGraph(graph));
    const source =
      setting.threads > 1 ? await createThreadSource(setting, rows) : createInlineSource(setting, rows);
    releases.add("batches", () => source.release());
    return new CompiledLearner(setting, graph, start, {
      training,
      validation,
      source,
      releases,
      rowCount: rows.count,
    });
  } catch (thrown) {
    await releases.releaseAll();
    throw thrown;
  }
};

interface Parts {
  readonly training: InferenceSession;
  readonly validation: InferenceSession;
  readonly source: BlockSource;
  readonly rowCount: number;
  readonly releases: ReleaseStack;
}

class CompiledLearner implements HeadLearner {
  readonly #setting: EpochSetting;
  readonly #graph: TrainingGraphSetting;
  readonly #parts: Parts;
  /** Weights and moments of each group, by their names in the graph. */
  #state = new Map<string, Float32Array<ArrayBuffer>>();
  /** The memory that the next run writes them to: pages of fresh memory would cost as much as a pass over the weights. */
  #next = new Map<string, Float32Array<ArrayBuffer>>();
  readonly #nextRates: ReturnType<typeof createStepRates>;
  #step: number;

  constructor(
    setting: EpochSetting,
    graph: TrainingGraphSetting,
    { weights, optimizer }: LearnerStart,
    parts: Parts,
  ) {
    this.#setting = setting;
    this.#graph = graph;
    this.#parts = parts;
    this.#step = optimizer?.step ?? 0;
    this.#nextRates = createStepRates(graph.optimizer, this.#step);
    for (const [index, group] of graph.groups.entries()) {
      this.#state.set(
        graphNames.weights(index),
        packGroup(group, (name) => weights[name]?.data),
      );
      for (const kind of momentKinds(graph.optimizer)) {
        const moments = packGroup(group, (name) => optimizer?.moments.get(`${kind}/${name}`));
        this.#state.set(graphNames.moment(kind, index), moments);
      }
    }
    for (const [name, data] of this.#state) this.#next.set(name, new Float32Array(data.length));
  }

  async trainEpoch(epoch: number, schedule: Schedule): Promise<TrainedEpoch> {
    const { training, classCount } = this.#setting;
    const { source, rowCount } = this.#parts;
    const stepsPerEpoch = Math.ceil(rowCount / training.batchSize);
    let [loss, correct, learningRate] = [0, 0, 0];
    for await (const block of source.blocks(epoch)) {
      const rates = Array.from({ length: block.steps }, (_, index) => {
        learningRate = schedule.learningRate({ epoch, step: block.firstStep + index, stepsPerEpoch });
        return this.#nextRates(learningRate);
      });
      const logarithms = await this.#run(block, rates);
      const { targets, rowWeights, labels: room } = block.memory;
      const labels = room.subarray(0, block.steps * block.rows);
      const figures =
        training.mixup > 0 || rowWeights !== undefined
          ? figuresOfTargets(logarithms, { labels, targets, rowWeights }, classCount)
          : figuresOfLogarithms(logarithms, labels, classCount, training.labelSmoothing);
      loss += figures.loss;
      correct += figures.correct;
    }
    return { learningRate, trainLoss: loss / rowCount, trainAccuracy: correct / rowCount };
  }

  async validate({ features, labels }: RowSet, onRows?: OnValidatedRows): Promise<ValidatedEpoch> {
    const { classCount, featureCount, training } = this.#setting;
    let [loss, correct] = [0, 0];
    const parts: Float32Array[] = [];
    for (let start = 0; start < labels.length; start += chunkRows) {
      const chunk = labels.subarray(start, start + chunkRows);
      const rows = features.subarray(start * featureCount, (start + chunk.length) * featureCount);
      const feeds = { features: new Tensor("float32", unshared(rows), [chunk.length, featureCount]) };
      const outputs = await this.#parts.validation.run({ ...this.#weightTensors(), ...feeds });
      const logarithms = takeData(outputs["log_probabilities"]);
      const figures = figuresOfLogarithms(logarithms, chunk, classCount, training.labelSmoothing);
      onRows?.(start, logarithms);
      parts.push(logarithms);
      loss += figures.loss;
      correct += figures.correct;
    }
    const predicted = () =>
      predictedClasses(Float64Array.from(parts.flatMap((part) => [...part])), classCount);
    return {
      validationLoss: loss / labels.length,
      validationAccuracy: correct / labels.length,
      ...figuresOfRule(training.keep, predicted, labels, classCount),
    };
  }

  snapshot(): HeadWeights {
    const found = new Map(this.#unpack((_, index) => graphNames.weights(index)));
    const entries = [...this.#graph.shapes].map(([name, shape]) => {
      return [name, { shape, data: found.get(name) as Float32Array }] as const;
    });
    return Object.fromEntries(entries);
  }

  get optimizerState(): OptimizerState {
    const kinds = momentKinds(this.#graph.optimizer);
    const found = kinds.map((kind) => new Map(this.#unpack((_, index) => graphNames.moment(kind, index))));
    const moments = new Map<string, Float32Array>();
    for (const name of this.#graph.shapes.keys()) {
      for (const [at, kind] of kinds.entries()) {
        moments.set(`${kind}/${name}`, found[at]?.get(name) as Float32Array);
      }
    }
    return { step: this.#step, moments };
  }

  async release(): Promise<void> {
    const [failure] = await this.#parts.releases.releaseAll();
    if (failure !== undefined) {
      throw new TrommelError("internal", `cannot release the training: ${failure}`);
    }
  }

  /** @returns log-probabilities [steps, rows, classes] */
  async #run(block: StepBlock, rates: readonly (readonly number[])[]): Promise<Float32Array> {
    const { steps, rows, memory } = block;
    const { featureCount, classCount } = this.#graph;
    const slices = (data: Float32Array | undefined, width: number) => {
      return new Tensor("float32", data?.subarray(0, steps * rows * width) ?? [], [steps, rows, width]);
    };
    const scalars = (values: Float32Array) => new Tensor("float32", values, [steps]);
    const feeds: Record<string, Tensor> = {
      features: slices(memory.features, featureCount),
      targets: slices(memory.targets, classCount),
      row_share:
        memory.rowWeights === undefined
          ? scalars(new Float32Array(steps).fill(1 / rows))
          : slices(
              memory.rowWeights.map((weight) => weight / rows),
              1,
            ),
    };
    for (const [name, data] of this.#state) feeds[name] = vector(data);
    for (const { place, width } of this.#graph.factors) {
      feeds[graphNames.factors(place)] = slices(memory.factors.get(place), width);
    }
    for (let index = 0; index < rateCount(this.#graph.optimizer); index += 1) {
      feeds[graphNames.rate(index)] = scalars(Float32Array.from(rates, (step) => step[index] as number));
    }
    const fetches: Record<string, Tensor | null> = { log_probabilities: null };
    for (const [name, data] of this.#next) fetches[graphNames.next(name)] = vector(data);
    const outputs = await this.#parts.training.run(feeds, fetches);
    [this.#state, this.#next] = [this.#next, this.#state];
    this.#step += steps;
    return takeData(outputs["log_probabilities"]);
  }

  #weightTensors(): Record<string, Tensor> {
    const names = this.#graph.groups.map((_, index) => graphNames.weights(index));
    return Object.fromEntries(names.map((name) => [name, vector(this.#state.get(name) as Float32Array)]));
  }

  #unpack(stateOf: (group: WeightGroup, index: number) => string): [string, Float32Array][] {
    return this.#graph.groups.flatMap((group, index) => {
      return unpackGroup(group, this.#state.get(stateOf(group, index)) as Float32Array);
    });
  }
}

function graphSetting(setting: EpochSetting, weights: HeadWeights): TrainingGraphSetting {
  const { head, training, featureCount, classCount } = setting;
  const shapes = new Map(Object.entries(weights).map(([name, { shape }]) => [name, shape]));
  return {
    head,
    optimizer: training.optimizer,
    featureCount,
    classCount,
    shapes,
    groups: groupWeights(shapes, training.optimizer),
    isWeighted: setting.classWeights !== undefined,
    factors: factorShapes(head, featureCount),
  };
}

function vector(data: Float32Array): Tensor {
  return new Tensor("float32", data, [data.length]);
}
