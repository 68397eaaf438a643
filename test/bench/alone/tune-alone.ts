import { readLayersModel } from "#gpu-worker/backbone/layers/layers-model";
import { cutAt, type CutLayers } from "#gpu-worker/backbone/layers/cut-layers";
import { architectureDefaults, zooNetwork } from "#gpu-worker/backbone/zoo/architectures";
import { randomWeights } from "#gpu-worker/backbone/zoo/random-weights";
import { zooLayersFiles } from "#gpu-worker/backbone/zoo/zoo-layers-files";
import { blockSize } from "#gpu-worker/tuning/engine/block-size";
import { createCompiledTuner } from "#gpu-worker/tuning/engine/compiled-tuner";
import { initialState } from "#gpu-worker/tuning/engine/tuning-state";
import type { TuningBatch, TuningSetting } from "#gpu-worker/tuning/engine/tuner";
import { SeededRandom, type Device } from "@trommel/common";

/** A process of its own that takes steps of tuning a network with random weights, and prints what it measured as JSON. */

export interface TuneAlone {
  readonly architecture: string;
  readonly norm: "batch" | "frozen";
  readonly images: number;
  readonly threads: number;
  /** Steps that are measured, after one that is not. */
  readonly steps: number;
  /** The layers that train; null trains all. */
  readonly trained: string | null;
  readonly classes: number;
  /** @default "cpu" */
  readonly device?: Device;
  /** @default "fp32" */
  readonly precision?: "fp32" | "mixed";
}

export interface TunedAlone {
  /** Images a second, by the median step. */
  readonly rate: number;
  readonly peakMib: number;
  readonly block: number;
}

const size = 224;

const options = JSON.parse(process.argv[2] ?? "") as TuneAlone;
const setting = await settingOf(options);
const random = new SeededRandom(1);
const drawn = (length: number, scale: number): Float32Array =>
  Float32Array.from({ length }, () => random.uniform(-scale, scale));
const dimension = setting.cut.layers.reduce(
  (last, { weights }) => [...weights.values()].at(-1)?.shape.at(-1) ?? last,
  0,
);
const start = initialState(setting, {
  kernel: drawn(dimension * options.classes, 0.05),
  bias: drawn(options.classes, 0.05),
});
const { device = "cpu" } = options;
const block = device === "cpu" ? await blockSize() : 0;
const tuner = await createCompiledTuner(setting, start, block, device);
const batch = drawBatch();
const seconds: number[] = [];
for (let step = 0; step <= options.steps; step += 1) {
  const begin = performance.now();
  await tuner.step(batch, 1e-4);
  if (step > 0) seconds.push((performance.now() - begin) / 1000);
}
await tuner.release();
const median = seconds.sort((a, b) => a - b)[Math.floor(options.steps / 2)] ?? Number.NaN;
const found: TunedAlone = {
  rate: options.images / median,
  peakMib: process.resourceUsage().maxRSS / 1024,
  block,
};
process.stdout.write(`${JSON.stringify(found)}\n`);

async function settingOf({
  architecture,
  norm,
  images,
  threads,
  trained,
  classes,
  precision = "fp32",
}: TuneAlone): Promise<TuningSetting> {
  const cut = await layersOf(architecture);
  const pattern = trained === null ? undefined : new RegExp(trained, "u");
  const { normalization, channelOrder } = architectureDefaults(architecture);
  return {
    cut,
    contract: { inputSize: size, normalization, channelOrder },
    ...{ side: size, colour: false, pooling: "average", classCount: classes, batchSize: images },
    trained: new Set(
      cut.layers
        .filter(({ name, weights }) => weights.size > 0 && (pattern?.test(name) ?? true))
        .map(({ name }) => name),
    ),
    ...{ norm, statisticsMomentum: 0.05, rateFactors: new Map(), clipNorm: null, averageDecay: null },
    optimizer: { type: "sgd", learningRate: 1e-4, momentum: 0.9, nesterov: false, weightDecay: 0 },
    ...{ hasDropout: false, hasMixup: false, threads, precision },
  };
}

async function layersOf(architecture: string): Promise<CutLayers> {
  const network = zooNetwork(architecture, { inputSize: size, pooling: "average" });
  const files = zooLayersFiles(network, randomWeights(network, 1));
  return cutAt(await readLayersModel(files.modelJson, () => Promise.resolve(files.weightsBin)));
}

function drawBatch(): TuningBatch {
  const { images, classes } = options;
  const targets = new Float32Array(images * classes);
  for (let image = 0; image < images; image += 1) targets[image * classes + (image % classes)] = 1;
  return {
    pixels: Uint8Array.from({ length: images * size * size * 3 }, () => random.uniform(0, 256)),
    affine: Float32Array.from({ length: images * 6 }, (_, at) => (at % 6 === 0 || at % 6 === 4 ? 1 : 0)),
    colour: new Float32Array(images * 12),
    targets,
    rowShares: new Float32Array(images).fill(1 / images),
    ...{ mix: null, dropout: null },
  };
}
