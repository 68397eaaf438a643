import { runKeys, TrommelError, type ObjectStore, type RunConfig, type ShardEntry } from "@trommel/common";
import { encodeSafetensors } from "@trommel/common/codec";
import { createEngine } from "../../backbone/engines/create-engine.js";
import type { Classified } from "../../backbone/engines/engine.js";
import { openImages } from "../../image/read/image-source.js";
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

/** Images that travel with the bundle: each takes 3 · side² bytes. */
const goldenImages = 2;

/** `golden.safetensors`: pixels, and what the model must give for them. */
export interface Golden {
  readonly bytes: Uint8Array;
  readonly images: number;
  /** How far a probability, or a novelty, may be from it. */
  readonly tolerance: number;
}

/**
 * Holds the compiled model against training: the first readable images of the run, decoded again and put through
 * `model.onnx`, must get the probabilities, and the novelty, that training gives their stored features.
 * @returns some of the images with what was expected, for those who serve the model; null if one has gone since
 * @throws TrommelError `parity-failed`: training and serving would differ, so there is no bundle
 */
export async function checkServing(options: CheckServingOptions): Promise<Golden | null> {
  const { config, trained } = options;
  const sample = await sampleImages(options);
  const images = sample.entries.length;
  const expected: Classified = {
    probabilities: await trained.probabilities(sample.features, images),
    novelty: trained.novelty?.of(firstViews(sample.features, images, servedViews(config.recipe))) ?? null,
    embeddings: null,
  };
  const served = await fromImages(options, sample.entries);
  // An image that has gone since it was extracted cannot be compared.
  if (served === undefined) return null;
  const ofProbability = largestDifference(expected.probabilities, served.probabilities);
  const ofNovelty = expected.novelty === null ? 0 : largestDifference(expected.novelty, served.novelty);
  const largest = Math.max(ofProbability, ofNovelty);
  const { featureType, precision } = config.recipe;
  const bound = featureType === "f16" || precision === "fp16" ? tolerance.half : tolerance.full;
  if (largest <= bound)
    return goldenOf(served.pixels, expected, { images, side: config.side, tolerance: bound });
  throw new TrommelError(
    "parity-failed",
    `cannot compile the bundle of ${config.id}: its model differs from what was trained by ${ofProbability.toPrecision(3)} in a probability and ${ofNovelty.toPrecision(3)} in a novelty, and ${bound} is allowed. Were pictures changed during the run? Otherwise report this`,
    { context: { ofProbability, ofNovelty, bound, images } },
  );
}

/** A missing value, or one that is not a number, differs beyond all bounds. */
function largestDifference(expected: Float32Array, found: Float32Array | null): number {
  let largest = 0;
  for (const [i, value] of expected.entries()) {
    const difference = Math.abs(value - (found?.[i] ?? Number.NaN));
    largest = Math.max(largest, Number.isNaN(difference) ? Infinity : difference);
  }
  return largest;
}

/** @param features [images · views, dimension] @returns [images, dimension] */
function firstViews(features: Float32Array, images: number, views: number): Float32Array {
  const dimension = features.length / (images * views);
  const first = new Float32Array(images * dimension);
  for (let image = 0; image < images; image += 1) {
    const from = image * views * dimension;
    first.set(features.subarray(from, from + dimension), image * dimension);
  }
  return first;
}

function goldenOf(
  pixels: Uint8Array,
  { probabilities, novelty }: Classified,
  of: { readonly images: number; readonly side: number; readonly tolerance: number },
): Golden {
  const { side, tolerance } = of;
  const images = Math.min(goldenImages, of.images);
  const classes = probabilities.length / of.images;
  const tensors = {
    pixels: {
      dtype: "U8" as const,
      shape: [images, side, side, 3],
      data: pixels.subarray(0, images * side * side * 3),
    },
    probabilities: {
      dtype: "F32" as const,
      shape: [images, classes],
      data: probabilities.subarray(0, images * classes),
    },
    ...(novelty === null
      ? {}
      : { novelty: { dtype: "F32" as const, shape: [images], data: novelty.subarray(0, images) } }),
  };
  return { bytes: encodeSafetensors({ tensors, metadata: {} }), images, tolerance };
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
): Promise<(Classified & { readonly pixels: Uint8Array }) | undefined> {
  const { config, model, trained } = options;
  const { side } = config;
  const classCount = trained.labels.length;
  const source = openImages(config.dataset, entries);
  const pixels = new Uint8Array(entries.length * side * side * 3);
  try {
    for await (const image of streamImages({
      entries,
      ...source.files,
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
    return { ...(await classifier.classify(pixels, entries.length)), pixels };
  } finally {
    await classifier.release();
  }
}
