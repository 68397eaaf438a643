import { runKeys, TrommelError, type ObjectStore, type RunConfig, type ShardEntry } from "@trommel/common";
import { createEngine } from "../../backbone/engines/create-engine.js";
import type { Classified } from "../../backbone/engines/engine.js";
import { openImages } from "../../image/read/image-source.js";
import { streamImages } from "../../image/read/image-stream.js";
import {
  differenceFrom,
  drawGolden,
  encodeGolden,
  goldenImages,
  type Golden,
} from "../golden/golden-images.js";
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

/** `golden.safetensors`: drawn pictures, and what the model gives for them. */
export interface GoldenFile {
  readonly bytes: Uint8Array;
  readonly images: number;
  /** How far a probability, or a novelty, may be from it. */
  readonly tolerance: number;
}

/**
 * Holds the compiled model against training: the first readable images of the run, decoded again and put through
 * `model.onnx`, must get the probabilities, and the novelty, that training gives their stored features.
 * An image that has gone since it was extracted cannot be compared.
 * @returns drawn pictures with what the model gives for them, for those who serve it
 * @throws TrommelError `parity-failed`: training and serving would differ, so there is no bundle
 */
export async function checkServing(options: CheckServingOptions): Promise<GoldenFile> {
  const { config, trained } = options;
  const sample = await sampleImages(options);
  const images = sample.entries.length;
  const expected: Classified = {
    probabilities: await trained.probabilities(sample.features, images),
    novelty: trained.novelty?.of(firstViews(sample.features, images, servedViews(config.recipe))) ?? null,
    embeddings: null,
  };
  const served = await fromImages(options, sample.entries);
  const { featureType, precision } = config.recipe;
  const bound = featureType === "f16" || precision === "fp16" ? tolerance.half : tolerance.full;
  const { images: compared, drawn } = served;
  const golden = { bytes: encodeGolden(drawn, config.side), images: goldenImages, tolerance: bound };
  if (compared === null) return golden;
  const { ofProbability, ofNovelty } = differenceFrom(expected, compared);
  if (Math.max(ofProbability, ofNovelty) <= bound) return golden;
  throw new TrommelError(
    "parity-failed",
    `cannot compile the bundle of ${config.id}: its model differs from what was trained by ${ofProbability.toPrecision(3)} in a probability and ${ofNovelty.toPrecision(3)} in a novelty, and ${bound} is allowed. Were pictures changed during the run? Otherwise report this`,
    { context: { ofProbability, ofNovelty, bound, images } },
  );
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

/** What the model gives for the images, null if one has gone, and for the drawn pictures. */
async function fromImages(
  options: CheckServingOptions,
  entries: readonly ShardEntry[],
): Promise<{ readonly images: Classified | null; readonly drawn: Golden }> {
  const { config, model, trained } = options;
  const { side } = config;
  const classCount = trained.labels.length;
  const pixels = await decodeAll(options, entries);
  const drawnPixels = drawGolden(side);
  const engine = await createEngine({ engine: "onnx", device: "cpu", threads: options.threads });
  const classifier = await engine.createClassifier({ side, classCount, model, parts: null });
  try {
    const images = pixels === undefined ? null : await classifier.classify(pixels, entries.length);
    const given = await classifier.classify(drawnPixels, goldenImages);
    const { probabilities, novelty } = given;
    return { images, drawn: { pixels: drawnPixels, images: goldenImages, probabilities, novelty } };
  } finally {
    await classifier.release();
  }
}

/** @returns undefined if one of the images has gone since it was extracted */
async function decodeAll(
  { config, signal }: CheckServingOptions,
  entries: readonly ShardEntry[],
): Promise<Uint8Array | undefined> {
  const { side } = config;
  const source = openImages(config.dataset, entries);
  const pixels = new Uint8Array(entries.length * side * side * 3);
  try {
    for await (const image of streamImages({
      entries,
      ...source.files,
      decode: { ...config.recipe.decode, side },
      window: checkedImages,
      signal,
    })) {
      if (!image.ok) return undefined;
      pixels.set(image.pixels, image.position * side * side * 3);
    }
  } finally {
    source.close();
  }
  return pixels;
}
