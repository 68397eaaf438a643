import { seedFrom, TrommelError, type Recipe } from "@trommel/common";
import type { RankedImages } from "./ranked-images.js";

/** The images of a class are ordered by this hash of (seed, key) and nothing else. 32 bits. */
export function splitRank(seed: number, key: string): number {
  return seedFrom("validation split", seed, key) >>> 0;
}

/**
 * The stratified, seeded validation split.
 *
 * Every class gives max(1, round(fraction · images)) images of its own, or, of the smallest class, as many as every other:
 * max(1, floor(fraction · images of the smallest class)), as "Dive into Deep Learning" splits its Kaggle competitions. Images that earlier runs on the same dataset, seed and
 * share validated on stay in validation, so that no image leaves it as the dataset grows; the rest are those whose
 * hash of (seed, key) is lowest, of equal ones those whose key comes first. Nothing but keys, labels and that memory
 * matters.
 *
 * @returns positions of the validation images per shard, ascending
 * @throws TrommelError `bad-dataset` for fewer than two classes, a class with a single image, or one whose images all
 *   validated in earlier runs
 */
export function chooseSplit(
  images: RankedImages,
  options: Pick<Recipe["validation"], "fraction" | "of">,
): ShardPositions {
  checkClasses(images.labels, images.counts);
  let smallest = Infinity;
  for (const count of images.counts) smallest = Math.min(smallest, count);
  const wanted = images.counts.map((count, index) => {
    const share =
      options.of === "smallest-class"
        ? Math.floor(options.fraction * smallest)
        : Math.round(options.fraction * count);
    const kept = images.rememberedCounts[index] ?? 0;
    if (kept === count) throw nothingToTrain(images.labels[index] ?? "", count);
    return Math.max(0, Math.min(Math.max(1, share) - kept, count - kept - 1));
  });
  const remembered = images.rememberedCounts.reduce((sum, count) => sum + count, 0);
  const count = wanted.reduce((sum, ofClass) => sum + ofClass, remembered);
  return positionsOf(images, lowestRanks(images, wanted), count);
}

/** The bound of an image's rank to be among the chosen ones of its class. */
interface RankBound {
  /** Every smaller rank is chosen. */
  readonly below: number;
  /** The number of equal ranks that are chosen, in listing order. */
  equal: number;
}

/** @param wanted images of each class in addition to the remembered ones */
function lowestRanks(images: RankedImages, wanted: readonly number[]): RankBound[] {
  const { limits, starts } = boundCandidates(images, wanted);
  // One array for all classes, filled class by class: there may be many classes.
  const ranks = new Uint32Array(starts.at(-1) ?? 0);
  const filled = starts.slice();
  images.forEach((classIndex, rank, remembered) => {
    if (remembered || rank >= (limits[classIndex] ?? 0)) return;
    const at = filled[classIndex] ?? 0;
    ranks[at] = rank;
    filled[classIndex] = at + 1;
  });
  return wanted.map((count, index) => {
    if (count === 0) return { below: 0, equal: 0 };
    const ofClass = ranks.subarray(starts[index], starts[index + 1]).sort();
    const below = ofClass[count - 1] ?? 0;
    return { below, equal: count - ofClass.indexOf(below) };
  });
}

/** All ranks are smaller. */
const rankEnd = 2 ** 32;

/**
 * Ranks are spread evenly, so the chosen ones lie below a limit that follows from the counts. With a margin it nearly always
 * suffices, and a class for which it does not uses all of its ranks. So a tenth of ten million is sorted instead of all.
 * @returns for each class the limit of its candidates, and where they start in an array of all (one more: its length)
 */
function boundCandidates(
  images: RankedImages,
  wanted: readonly number[],
): { readonly limits: Float64Array; readonly starts: Float64Array } {
  const limits = Float64Array.from(wanted, (count, index) => {
    const of = (images.counts[index] ?? 0) - (images.rememberedCounts[index] ?? 0);
    return count === 0 ? 0 : Math.min(rankEnd, (rankEnd * (count + 6 * Math.sqrt(count) + 8)) / of);
  });
  for (;;) {
    const found = new Float64Array(wanted.length);
    images.forEach((classIndex, rank, remembered) => {
      if (!remembered && rank < (limits[classIndex] ?? 0)) found[classIndex]! += 1;
    });
    const short = wanted.flatMap((count, index) => ((found[index] ?? 0) < count ? [index] : []));
    if (short.length === 0) {
      const starts = new Float64Array(wanted.length + 1);
      for (const [index, count] of found.entries()) starts[index + 1] = (starts[index] ?? 0) + count;
      return { limits, starts };
    }
    for (const index of short) limits[index] = rankEnd;
  }
}

/** Positions in each shard, all of them in one array: there may be a million, in tens of thousands of shards. */
export class ShardPositions implements Iterable<Uint32Array> {
  readonly #all: Uint32Array;
  /** The end of each shard's positions. */
  readonly #ends: readonly number[];

  constructor(all: Uint32Array, ends: readonly number[]) {
    this.#all = all;
    this.#ends = ends;
  }

  /** Shards. */
  get length(): number {
    return this.#ends.length;
  }

  at(shard: number): Uint32Array {
    return this.#all.subarray(this.#ends[shard - 1] ?? 0, this.#ends[shard]);
  }

  *[Symbol.iterator](): Generator<Uint32Array> {
    for (let shard = 0; shard < this.length; shard += 1) yield this.at(shard);
  }
}

/** @param count the number of all chosen images */
function positionsOf(images: RankedImages, bounds: readonly RankBound[], count: number): ShardPositions {
  const all = new Uint32Array(count);
  const ends: number[] = [];
  let found = 0;
  let position = 0;
  images.forEach((classIndex, rank, remembered) => {
    while (position === images.shardSizes[ends.length]) {
      ends.push(found);
      position = 0;
    }
    if (remembered || isWithin(bounds[classIndex], rank)) {
      all[found] = position;
      found += 1;
    }
    position += 1;
  });
  while (ends.length < images.shardSizes.length) ends.push(found);
  return new ShardPositions(all, ends);
}

/** Counts the equal ranks down, so it must be called once per image, in listing order. */
function isWithin(bound: RankBound | undefined, rank: number): boolean {
  if (bound === undefined || rank > bound.below) return false;
  if (rank < bound.below) return true;
  bound.equal -= 1;
  return bound.equal >= 0;
}

function nothingToTrain(label: string, images: number): TrommelError {
  return new TrommelError(
    "bad-dataset",
    `cannot split the dataset: earlier runs validated on every one of the ${images} images that class ${JSON.stringify(label)} has left, so none may train. Add images, or choose another --seed`,
    { context: { label, images } },
  );
}

/**
 * @param labels the classes
 * @param counts images of each
 * @throws TrommelError `bad-dataset` for fewer than two classes, or a class with a single image
 */
export function checkClasses(labels: readonly string[], counts: readonly number[]): void {
  if (labels.length < 2) {
    throw new TrommelError(
      "bad-dataset",
      `cannot split the dataset: a classifier needs pictures of at least two classes, and there is ${labels.join(", ") || "none"}. Add pictures of others, or point train at the folder that holds the class folders`,
      { context: { classes: labels } },
    );
  }
  const single = labels.filter((_, index) => (counts[index] ?? 0) < 2);
  if (single.length > 0) {
    throw new TrommelError(
      "bad-dataset",
      `cannot split the dataset: class ${single.map((label) => JSON.stringify(label)).join(", ")} has one image, and training and validation need one each. Add images or remove the class`,
      { context: { classes: single } },
    );
  }
}
