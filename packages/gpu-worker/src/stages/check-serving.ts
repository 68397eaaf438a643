import {
  runKeys,
  TrommelError,
  type HeadWeights,
  type ObjectStore,
  type Projection,
  type RunConfig,
  openStore,
} from "@trommel/common";
import { createEngine } from "../backbone/engines/create-engine.js";
import { predictProbabilities } from "../head/predict-head.js";
import { streamPictures } from "../image/picture-stream.js";
import { RowProjector } from "../linalg/project-rows.js";
import { readFeatures } from "./gram.js";
import { readShard } from "./read-config.js";

/** Pictures that are put through the compiled model. */
const checkedPictures = 8;
/** Largest difference of a probability. Half-precision features alone move them by a few thousandths. */
const tolerance = { f32: 1e-3, f16: 2e-2 } as const;

/**
 * Holds the compiled model against training: the first readable pictures of the run, decoded again and put through
 * `model.onnx`, must get the probabilities that the head gives their stored identity-view features.
 * @throws TrommelError `parity-failed`: training and serving would differ, so there is no bundle
 */
export async function checkServing(options: {
  readonly store: ObjectStore;
  readonly config: RunConfig;
  readonly model: Uint8Array;
  readonly classCount: number;
  readonly projection: Projection | null;
  readonly weights: HeadWeights;
  readonly threads: number;
  readonly signal: AbortSignal;
}): Promise<void> {
  const { config } = options;
  const shard = await readShard(options.store, runKeys(config.id).shard(0));
  const features = await readFeatures(options.store, config, shard);
  const rows = [...features.image.keys()].filter((row) => features.view[row] === 0).slice(0, checkedPictures);
  const expected = await fromFeatures(options, features, rows);
  const entries = rows.flatMap((row) => shard.entries[features.image[row] ?? -1] ?? []);
  const served = await fromPictures(options, entries);
  // A picture that has gone since it was extracted cannot be compared.
  if (served === undefined) return;
  let largest = 0;
  for (const [i, value] of expected.entries())
    largest = Math.max(largest, Math.abs(value - (served[i] ?? Number.NaN)));
  const bound = tolerance[config.recipe.featureType];
  if (largest <= bound) return;
  throw new TrommelError(
    "parity-failed",
    `failed to compile the bundle of ${config.id}: its model differs from the trained head by ${largest} in a probability, ${bound} is allowed. Were pictures changed during the run? Otherwise report this`,
    { context: { largest, bound, pictures: rows.length } },
  );
}

async function fromFeatures(
  options: Parameters<typeof checkServing>[0],
  features: { readonly dimension: number; readonly features: Float32Array },
  rows: readonly number[],
): Promise<Float32Array> {
  const { dimension } = features;
  const picked = new Float32Array(rows.length * dimension);
  for (const [i, row] of rows.entries()) {
    picked.set(features.features.subarray(row * dimension, (row + 1) * dimension), i * dimension);
  }
  const { projection, config, weights } = options;
  if (projection === null) return predictProbabilities(config.recipe.head, weights, picked, rows.length);
  const projector = await RowProjector.create(projection, { threads: options.threads });
  try {
    const projected = await projector.project(picked, rows.length);
    return predictProbabilities(config.recipe.head, weights, projected, rows.length);
  } finally {
    await projector.release();
  }
}

async function fromPictures(
  options: Parameters<typeof checkServing>[0],
  entries: readonly { readonly key: string; readonly sizeBytes: number; readonly etag: string }[],
): Promise<Float32Array | undefined> {
  const { config, model, classCount } = options;
  const { side } = config;
  const source = openStore(config.dataset);
  const pixels = new Uint8Array(entries.length * side * side * 3);
  try {
    for await (const picture of streamPictures({
      entries,
      read: (key, maxBytes, signal) => source.get(key, { maxBytes, signal }),
      decode: { ...config.recipe.decode, side },
      window: checkedPictures,
      signal: options.signal,
    })) {
      if (!picture.ok) return undefined;
      pixels.set(picture.pixels, picture.position * side * side * 3);
    }
  } finally {
    source.close();
  }
  const engine = await createEngine({ engine: "onnx", device: "cpu", threads: options.threads });
  const classifier = await engine.createClassifier({ side, classCount, model, parts: null });
  try {
    return await classifier.classify(pixels, entries.length);
  } finally {
    await classifier.release();
  }
}
