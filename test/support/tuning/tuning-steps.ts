import { SeededRandom } from "@trommel/common";
import { initialState } from "#gpu-worker/tuning/engine/tuning-state";
import type { TuningBatch, TuningSetting, TuningState } from "#gpu-worker/tuning/engine/tuner";
import type { NetworkSketch } from "./network-sketch.js";

const classCount = 4;
const batchSize = 8;

/** All layers train, by plain descent: after one step the velocities are its gradients. */
export async function settingOf(
  sketch: NetworkSketch,
  changes: Partial<TuningSetting> = {},
): Promise<TuningSetting> {
  const cut = await sketch.cut();
  return {
    cut,
    contract: {
      inputSize: sketch.inputSize,
      normalization: { mean: [120, 125, 130], deviation: [60, 55, 65] },
      channelOrder: "bgr",
    },
    ...{ side: sketch.inputSize + 4, colour: true, pooling: "average", classCount, batchSize },
    trained: new Set(cut.layers.filter(({ weights }) => weights.size > 0).map(({ name }) => name)),
    ...{ norm: "batch", statisticsMomentum: 0.1, rateFactors: new Map() },
    optimizer: { type: "sgd", learningRate: 0.1, momentum: 0, nesterov: false, weightDecay: 0 },
    ...{ clipNorm: null, averageDecay: null, hasDropout: false, hasMixup: false, threads: 1 },
    ...changes,
  };
}

export function startOf(setting: TuningSetting, dimension: number): TuningState {
  const random = new SeededRandom(dimension);
  const kernel = Float32Array.from(
    { length: dimension * classCount },
    () => random.normal() / Math.sqrt(dimension),
  );
  return initialState(setting, { kernel, bias: Float32Array.of(0.1, -0.1, 0.2, 0) });
}

/** Images of different brightness, hue and pattern, seen a little turned and recoloured. */
export function drawnBatch(
  { side, hasMixup, hasDropout }: TuningSetting,
  { seed, dimension }: { readonly seed: number; readonly dimension: number },
): TuningBatch {
  const random = new SeededRandom(seed);
  const around = (centre: number, spread: number) => random.uniform(centre - spread, centre + spread);
  const level = Array.from({ length: batchSize * 3 }, () => around(125, 60));
  const pixels = Uint8Array.from({ length: batchSize * side * side * 3 }, (_, at) => {
    const image = Math.floor(at / (side * side * 3));
    return Math.round((level[image * 3 + (at % 3)] as number) + around(0, 60));
  });
  const targets = new Float32Array(batchSize * classCount).fill(0.1 / classCount);
  for (let image = 0; image < batchSize; image += 1) {
    const at = image * classCount + ((image + seed) % classCount);
    targets[at] = (targets[at] as number) + 0.9;
  }
  const affine = Array.from({ length: batchSize }, () =>
    [1, 0, 0, 0, 1, 0].map((value) => around(value, 0.1)),
  );
  const colour = Array.from({ length: batchSize }, () =>
    [1, 0, 0, 5, 0, 1, 0, -5, 0, 0, 1, 0].map((value) => around(value, 0.1)),
  );
  return {
    pixels,
    affine: Float32Array.from(affine.flat()),
    colour: Float32Array.from(colour.flat()),
    targets,
    rowShares: Float32Array.from({ length: batchSize }, () => around(1, 0.5) / batchSize),
    mix: hasMixup ? { partner: Int32Array.of(3, 1, 4, 0, 7, 2, 6, 5), share: 0.7 } : null,
    dropout: hasDropout
      ? Float32Array.from({ length: batchSize * dimension }, () => (random.unit() < 0.2 ? 0 : 1.25))
      : null,
  };
}

/**
 * The largest difference of two states' tensors: of each relative to its norm, or to `floor` if that is larger.
 * @param names a pattern
 */
export function largestDifference(
  found: TuningState,
  wanted: TuningState,
  { names, floor }: { readonly names: RegExp; readonly floor: number },
): { readonly name: string; readonly difference: number } {
  let largest = { name: "", difference: 0 };
  for (const [name, { data }] of wanted.tensors) {
    if (!names.test(name)) continue;
    const other = found.tensors.get(name)?.data ?? new Float32Array();
    const apart = Math.hypot(...data.map((value, index) => value - (other[index] ?? NaN)));
    const difference = apart / Math.max(Math.hypot(...data), floor);
    if (!(difference <= largest.difference)) largest = { name, difference };
  }
  return largest;
}

/** The norm of all tensors of those names together. */
export function normOf({ tensors }: TuningState, names: RegExp): number {
  return Math.hypot(
    ...[...tensors].filter(([name]) => names.test(name)).map(([, { data }]) => Math.hypot(...data)),
  );
}
