import { readFileSync } from "node:fs";
import type { StepOptimizerRecipe } from "@trommel/common";
import { cutAt, type CutLayers } from "#gpu-worker/backbone/layers/cut-layers";
import { readLayersModel } from "#gpu-worker/backbone/layers/layers-model";
import { initialState } from "#gpu-worker/tuning/engine/tuning-state";
import type { TuningBatch, TuningSetting, TuningState } from "#gpu-worker/tuning/engine/tuner";

/** Length of a tensor, and its products with two drawn directions. */
export type Summary = readonly [length: number, first: number, second: number];

export interface GoldenNetwork {
  readonly name: string;
  readonly size: number;
  readonly layers: readonly {
    readonly class_name: string;
    readonly name: string;
    readonly config: Readonly<Record<string, unknown>>;
    readonly inputs: readonly string[];
  }[];
  readonly weights: readonly (readonly [name: string, shape: readonly number[]])[];
  readonly dimension: number;
  readonly cases: Readonly<
    Record<
      "batch" | "frozen" | "group",
      { readonly loss: number; readonly gradients: Readonly<Record<string, Summary>> }
    >
  >;
}

export interface GoldenSteps {
  readonly optimizer: StepOptimizerRecipe;
  readonly clipNorm?: number;
  readonly averageDecay?: number;
  readonly losses: readonly number[];
  readonly state: Readonly<Record<string, Summary>>;
}

interface TuningGolden {
  readonly batch: number;
  readonly classes: number;
  readonly rates: Readonly<Record<string, number>>;
  readonly networks: readonly GoldenNetwork[];
  readonly steps: Readonly<Record<string, GoldenSteps>>;
}

/** Made by `make-tuning-golden.py`, which has the same generator and networks. */
export const tuningGolden = JSON.parse(
  readFileSync(new URL("../../../golden/tuning.json", import.meta.url), "utf8"),
) as TuningGolden;

/** Uniform in [-1, 1). */
function draw(seed: number, count: number): Float64Array {
  let state = Math.imul(seed, 2654435761) >>> 0;
  return Float64Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

function drawnWeight(name: string, shape: readonly number[], seed: number): Float32Array {
  const count = shape.reduce((product, size) => product * size, 1);
  const drawn = draw(seed, count);
  if (name.endsWith("moving_variance")) return Float32Array.from(drawn, (value) => 1 + 0.5 * value);
  if (name.endsWith("gamma")) return Float32Array.from(drawn, (value) => 1 + 0.3 * value);
  if (!name.endsWith("kernel")) return Float32Array.from(drawn, (value) => 0.3 * value);
  const taps = name.endsWith("depthwise_kernel") ? shape.slice(0, 2) : shape.slice(0, -1);
  const fan = taps.reduce((product, size) => product * size, 1);
  return Float32Array.from(drawn, (value) => value * Math.sqrt(6 / fan));
}

/** A network of the golden file as the backbone's import would read it. */
async function goldenLayers({ layers, weights, size }: GoldenNetwork): Promise<CutLayers> {
  const input = {
    ...{ class_name: "InputLayer", name: "input", inbound_nodes: [] },
    config: { batch_input_shape: [null, size, size, 3] },
  };
  const config = {
    layers: [
      input,
      ...layers.map(({ inputs, ...layer }) => ({
        ...layer,
        inbound_nodes: [inputs.map((name) => [name, 0, 0, {}])],
      })),
    ],
    input_layers: [["input", 0, 0]],
    output_layers: [[layers.at(-1)?.name, 0, 0]],
  };
  const values = weights.map(([name, shape], at) => drawnWeight(name, shape, at + 1));
  const json = {
    modelTopology: { class_name: "Model", config },
    weightsManifest: [
      {
        paths: ["weights.bin"],
        weights: weights.map(([name, shape]) => ({ name, shape, dtype: "float32" })),
      },
    ],
  };
  const bytes = Buffer.concat(values.map(({ buffer }) => Buffer.from(buffer)));
  const model = await readLayersModel(Buffer.from(JSON.stringify(json)), () => Promise.resolve(bytes));
  return cutAt(model);
}

/** All layers train, by plain descent: a step's gradients are the velocities after it. */
export async function goldenSetting(
  network: GoldenNetwork,
  changes: Partial<TuningSetting> = {},
): Promise<TuningSetting> {
  const cut = await goldenLayers(network);
  return {
    cut,
    contract: {
      inputSize: network.size,
      normalization: { mean: [127.5, 127.5, 127.5], deviation: [127.5, 127.5, 127.5] },
      channelOrder: "rgb",
    },
    ...{ side: network.size, colour: false, pooling: "average", classCount: tuningGolden.classes },
    batchSize: tuningGolden.batch,
    trained: new Set(cut.layers.filter(({ weights }) => weights.size > 0).map(({ name }) => name)),
    ...{ norm: "batch", statisticsMomentum: 0.1, rateFactors: new Map() },
    optimizer: { type: "sgd", learningRate: 1, momentum: 0, nesterov: false, weightDecay: 0 },
    ...{ clipNorm: null, averageDecay: null, hasDropout: false, hasMixup: false, threads: 1 },
    ...changes,
  };
}

export function goldenStart(setting: TuningSetting, { dimension }: GoldenNetwork): TuningState {
  const { classes } = tuningGolden;
  return initialState(setting, {
    kernel: drawnWeight("classifier/kernel", [dimension, classes], 500),
    bias: drawnWeight("classifier/bias", [classes], 501),
  });
}

export function goldenBatch({ size }: GoldenNetwork, smoothing = 0): TuningBatch {
  const { batch, classes } = tuningGolden;
  const noise = draw(77, batch * size * size * 3);
  const level = draw(78, batch * 3);
  const pixels = Uint8Array.from(noise, (value, at) => {
    const image = Math.floor(at / (size * size * 3));
    return Math.floor((value + (level[image * 3 + (at % 3)] as number)) * 60 + 127.5);
  });
  const targets = new Float32Array(batch * classes).fill(smoothing / classes);
  for (let image = 0; image < batch; image += 1)
    targets[image * classes + (image % classes)]! += 1 - smoothing;
  return {
    pixels,
    affine: Float32Array.from({ length: batch * 6 }, (_, at) => (at % 6 === 0 || at % 6 === 4 ? 1 : 0)),
    colour: new Float32Array(batch * 12),
    targets,
    rowShares: new Float32Array(batch).fill(1 / batch),
    ...{ mix: null, dropout: null },
  };
}

export function summaryOf(values: Float32Array): Summary {
  const along = (seed: number): number =>
    draw(seed, values.length).reduce((sum, direction, at) => sum + direction * (values[at] as number), 0);
  return [Math.hypot(...values), along(1001), along(1002)];
}
