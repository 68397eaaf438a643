import {
  runKeys,
  TrommelError,
  type ObjectStore,
  type RunConfig,
  type ShardEntry,
  openStore,
} from "@trommel/common";
import { createEngine } from "../../backbone/engines/create-engine.js";
import { imageSource } from "../../image/read/image-source.js";
import { streamImages } from "../../image/read/image-stream.js";
import { readFeatures } from "../inputs/features.js";
import { readListing, readShard } from "../inputs/listing.js";
import { servedViews } from "../folding/predict-part.js";
import type { TrainedModel } from "./trained-model.js";

/** Images that are put through the compiled model. */
const checkedImages = 8;
/**
 * Largest difference of a probability. Half-precision features alone move them by a few thousandths, and so does a network in
 * half precision on another device than the one that extracted.
 */
const tolerance = { full: 1e-3, half: 2e-2 } as const;

interface CheckServingOptions {
  readonly store: ObjectStore;
  readonly config: RunConfig;
  readonly model: Uint8Array;
  readonly trained: TrainedModel;
  readonly threads: number;
  readonly signal: AbortSignal;
}

/**
 * Holds the compiled model against training: the first readable images of the run, decoded again and put through
 * `model.onnx`, must get the probabilities that the head gives their stored features.
 * @throws TrommelError `parity-failed`: training and serving would differ, so there is no bundle
 */
export async function checkServing(options: CheckServingOptions): Promise<void> {
  const { config } = options;
  const sample = await sampleImages(options);
  const expected = await options.trained.probabilities(sample.features, sample.entries.length);
  const served = await fromImages(options, sample.entries);
  // An image that has gone since it was extracted cannot be compared.
  if (served === undefined) return;
  let largest = 0;
  for (const [i, value] of expected.entries())
    largest = Math.max(largest, Math.abs(value - (served[i] ?? Number.NaN)));
  const { featureType, precision } = config.recipe;
  const bound = featureType === "f16" || precision === "fp16" ? tolerance.half : tolerance.full;
  if (largest <= bound) return;
  throw new TrommelError(
    "parity-failed",
    `cannot compile the bundle of ${config.id}: its model differs from the trained head by ${largest} in a probability, ${bound} is allowed. Were pictures changed during the run? Otherwise report this`,
    { context: { largest, bound, images: sample.entries.length } },
  );
}

interface Sample {
  readonly entries: readonly ShardEntry[];
  /** [entries.length · views, dimension]: the views of each that the model serves with. */
  readonly features: Float32Array;
}

/** The first readable images of the run, in listing order. */
async function sampleImages(options: CheckServingOptions): Promise<Sample> {
  const { store, config } = options;
  const keys = runKeys(config.id);
  const { shards } = await readListing(store, keys.listing);
  const entries: ShardEntry[] = [];
  const picked: Float32Array[] = [];
  for (let index = 0; index < shards && entries.length < checkedImages; index += 1) {
    const shard = await readShard(store, keys.shard(index));
    const { dimension, features, image, view } = await readFeatures(store, config, shard);
    for (const [row, position] of image.entries()) {
      const entry = shard.entries[position];
      if ((view[row] as number) >= servedViews(config.recipe) || entry === undefined) continue;
      if (view[row] === 0 && entries.length === checkedImages) break;
      if (view[row] === 0) entries.push(entry);
      picked.push(features.subarray(row * dimension, (row + 1) * dimension));
    }
  }
  const values = Float32Array.from(picked.flatMap((row) => [...row]));
  return { entries, features: values };
}

async function fromImages(
  options: CheckServingOptions,
  entries: readonly ShardEntry[],
): Promise<Float32Array | undefined> {
  const { config, model, trained } = options;
  const { side } = config;
  const classCount = trained.labels.length;
  const source = openStore(config.dataset);
  const pixels = new Uint8Array(entries.length * side * side * 3);
  try {
    for await (const image of streamImages({
      entries,
      ...imageSource(source),
      decode: { ...config.recipe.decode, side },
      window: checkedImages,
      signal: options.signal,
    })) {
      if (!image.ok) return undefined;
      pixels.set(image.pixels, image.position * side * side * 3);
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
