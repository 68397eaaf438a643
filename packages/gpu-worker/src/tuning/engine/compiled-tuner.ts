import { messageOf, ReleaseStack, TrommelError, type Device, type NamedTensor } from "@trommel/common";
import { createStepRates, type StepRates } from "../../head/compiled/step-rates.js";
import { takeData } from "../../head/compiled/head-session.js";
import { InferenceSession, Tensor } from "../../graph/onnx/onnx-runtime.js";
import { planStep } from "./plan-memory.js";
import { distinctFactors, nextName, rateName, type StepGraph } from "./step-graph.js";
import { figuresOf } from "./step-figures.js";
import { stateNames } from "./tuned-tensors.js";
import type { StepFigures, Tuner, TuningBatch, TuningSetting, TuningState } from "./tuner.js";
import { stateValues } from "./tuning-state.js";

/**
 * Trains by one compiled graph of views, forward pass, backward pass and optimiser: on the CPU in the runtime's blocked layout
 * where it has one, in plain ONNX otherwise.
 * @param block as `blockSize` finds it; 0 for any device but the CPU
 * @param device @default "cpu"
 */
export async function createCompiledTuner(
  setting: TuningSetting,
  start: TuningState,
  block: number,
  device: Device = "cpu",
): Promise<Tuner> {
  return await tunerOfGraph(setting, start, planStep(setting, block), device);
}

/** The same by a graph that is built already. @param device @default "cpu" */
export async function tunerOfGraph(
  setting: TuningSetting,
  start: TuningState,
  graph: StepGraph,
  device: Device = "cpu",
): Promise<Tuner> {
  const releases = new ReleaseStack();
  const session = await InferenceSession.create(graph.model, {
    executionProviders: [device],
    intraOpNumThreads: setting.threads,
    interOpNumThreads: 1,
    executionMode: "sequential",
    // A step's tensors come and go in one order: planned memory would only add to what the arena keeps.
    enableMemPattern: false,
    graphOptimizationLevel: "all",
    logSeverityLevel: 3,
  });
  releases.add("training session", () => session.release());
  try {
    return new CompiledTuner(setting, start, graph, session, releases);
  } catch (thrown) {
    await releases.releaseAll();
    throw thrown;
  }
}

class CompiledTuner implements Tuner {
  readonly #setting: TuningSetting;
  readonly #graph: StepGraph;
  readonly #session: InferenceSession;
  readonly #releases: ReleaseStack;
  readonly #rates: readonly ((learningRate: number) => StepRates)[];
  readonly #factors: readonly number[];
  #state: ReadonlyMap<string, Tensor>;
  /** The memory that the next step writes to: never the one that it reads. */
  #next: ReadonlyMap<string, Tensor>;
  #step: number;

  constructor(
    setting: TuningSetting,
    start: TuningState,
    graph: StepGraph,
    session: InferenceSession,
    releases: ReleaseStack,
  ) {
    this.#setting = setting;
    this.#graph = graph;
    this.#session = session;
    this.#releases = releases;
    this.#step = start.step;
    this.#factors = distinctFactors(setting, graph.tensors);
    this.#rates = this.#factors.map(() => createStepRates(setting.optimizer, start.step));
    const entries = graph.tensors.flatMap((tensor) =>
      stateNames(setting, tensor).map((name) => {
        const values = tensor.toNative(stateValues(start, name, tensor.kerasShape)).slice();
        return [name, new Tensor("float32", values, [...tensor.shape])] as const;
      }),
    );
    this.#state = new Map(entries);
    this.#next = new Map(
      entries.map(([name, { dims, size }]) => [name, new Tensor("float32", new Float32Array(size), dims)]),
    );
  }

  async step(batch: TuningBatch, learningRate: number): Promise<StepFigures> {
    const feeds: Record<string, Tensor> = {
      ...batchFeeds(this.#setting, batch),
      ...Object.fromEntries(this.#state),
    };
    for (const [at, rates] of this.#rates.entries()) {
      for (const [index, rate] of rates(learningRate * (this.#factors[at] as number)).entries()) {
        feeds[rateName(at, index)] = new Tensor("float32", Float32Array.of(rate), []);
      }
    }
    const fetches: Record<string, Tensor | null> = { log_probabilities: null };
    for (const [name, tensor] of this.#next) fetches[nextName(name)] = tensor;
    const outputs = await this.#session.run(feeds, fetches).catch((thrown: unknown) => {
      throw explainMemory(thrown, this.#setting);
    });
    [this.#state, this.#next] = [this.#next, this.#state];
    this.#step += 1;
    return figuresOf(takeData(outputs["log_probabilities"]), batch, this.#setting.classCount);
  }

  state(): TuningState {
    const tensors = new Map<string, NamedTensor>();
    for (const tensor of this.#graph.tensors) {
      for (const name of stateNames(this.#setting, tensor)) {
        const values = this.#state.get(name)?.data as Float32Array;
        tensors.set(name, { shape: tensor.kerasShape, data: tensor.toKeras(values).slice() });
      }
    }
    return { step: this.#step, tensors };
  }

  async release(): Promise<void> {
    const [failure] = await this.#releases.releaseAll();
    if (failure !== undefined) throw new TrommelError("internal", `cannot release the tuning: ${failure}`);
  }
}

/** The words of ONNX Runtime and of its devices for memory that they do not get. */
const words = /bad[ _]alloc|failed to allocate|out of memory|ALLOC_FAILED/i;

/** What a step threw, with what to lower if memory ran out. Another worker may have more of it. */
export function explainMemory(thrown: unknown, { batchSize }: { readonly batchSize: number }): unknown {
  if (thrown instanceof TrommelError || !words.test(messageOf(thrown))) return thrown;
  return new TrommelError(
    "exhausted",
    `cannot take a step of tuning on ${batchSize} images: memory ran out (${messageOf(thrown)}). Lower tune.batchSize, train fewer tune.blocks, or give the workers more memory`,
    { cause: thrown, context: { batchSize } },
  );
}

function batchFeeds(setting: TuningSetting, batch: TuningBatch): Record<string, Tensor> {
  const { batchSize: images, side, classCount } = setting;
  const floats = (values: Float32Array, ...dims: number[]): Tensor => new Tensor("float32", values, dims);
  const { mix, dropout } = batch;
  return {
    pixels: new Tensor("uint8", batch.pixels, [images, side, side, 3]),
    affine: floats(batch.affine, images, 2, 3),
    ...(setting.colour ? { colour: floats(batch.colour, images, 3, 4) } : {}),
    targets: floats(batch.targets, images, classCount),
    row_shares: floats(batch.rowShares, images, 1),
    ...(dropout === null ? {} : { dropout: floats(dropout, images, dropout.length / images) }),
    ...(mix === null
      ? {}
      : {
          mix_partner: new Tensor("int32", mix.partner, [images]),
          mix_share: new Tensor("float32", Float32Array.of(mix.share), []),
        }),
  };
}
