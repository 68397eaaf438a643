import { seedFrom, TrommelError, type Recipe } from "@trommel/common";
import { checkClasses } from "./check-classes.js";
import { lowestRanks, PartChoice, type Wanted } from "./part-choice.js";
import { sides, type SplitImages } from "./ranked-images.js";
import type { ShardPositions } from "./shard-positions.js";

/**
 * The images of a class are ordered by this hash of (seed, key) and nothing else. 32 bits.
 * @param name the key, or the group of images that should stay together
 */
export function splitRank(seed: number, name: string): number {
  return seedFrom("validation split", seed, name) >>> 0;
}

/** The parts of a run whose epoch is kept by a validation part: positions per shard, ascending. Every other image trains. */
export interface ChosenSplit {
  readonly validation: ShardPositions;
  /** Null without a test part. */
  readonly test: ShardPositions | null;
}

/**
 * The stratified, seeded split of a run whose epoch is kept by a validation part.
 *
 * Every class gives max(1, round(fraction · images)) images of its own, or, of the smallest class, as many as every other:
 * max(1, floor(fraction · images of the smallest class)), as "Dive into Deep Learning" splits its Kaggle competitions. Images that earlier runs on the same dataset, seed and
 * share validated on stay in validation, so that no image leaves it as the dataset grows; the rest are those whose
 * hash of (seed, key) is lowest, of equal ones those whose key comes first. Nothing but keys, labels and that memory
 * matters.
 *
 * A test part is taken first, from the other end of the same order: of each class the share whose hash is highest, with what earlier
 * runs tested on, or the images that a list names. Shares of the validation part are of what is left.
 *
 * @param options.test the share of the test part; null if a list names it, or nothing is tested on
 * @throws TrommelError `bad-dataset` for fewer than two classes, a class with a single image, or one whose images all
 *   validated or were tested on in earlier runs
 */
export function chooseSplit(
  images: SplitImages,
  options: Pick<Recipe["validation"], "fraction" | "of"> & { readonly test: number | null },
): ChosenSplit {
  const tested = images.countsBySide[sides.test];
  checkClasses(
    images.labels,
    images.counts.map((count, index) => count - (tested[index] ?? 0)),
    { isTested: tested.some((count) => count > 0) },
  );
  const testChoice = options.test === null ? undefined : chooseTest(images, options.test);
  const left = testChoice?.marked() ?? images;
  const hasTest = testChoice !== undefined || tested.some((count) => count > 0);
  return {
    validation: chooseValidation(left, options).positions(),
    test: hasTest ? new PartChoice(left, sides.test).positions() : null,
  };
}

function chooseTest(images: SplitImages, share: number): PartChoice {
  const wanted: Wanted = images.counts.map((count, index) => {
    const kept = images.countsBySide[sides.test][index] ?? 0;
    const open = images.countsBySide[sides.open][index] ?? 0;
    // One image at least is left to train on, and one to validate on if none does so already.
    const needed = images.countsBySide[sides.validation][index] === 0 ? 2 : 1;
    return Math.max(0, Math.min(Math.max(1, Math.round(share * count)) - kept, open - needed));
  });
  return new PartChoice(images, sides.test, lowestRanks(images, wanted, { highest: true }));
}

function chooseValidation(
  images: SplitImages,
  options: Pick<Recipe["validation"], "fraction" | "of">,
): PartChoice {
  const tested = images.countsBySide[sides.test];
  const counts = images.counts.map((count, index) => count - (tested[index] ?? 0));
  let smallest = Infinity;
  for (const count of counts) smallest = Math.min(smallest, count);
  const wanted = counts.map((count, index) => {
    const share =
      options.of === "smallest-class"
        ? Math.floor(options.fraction * smallest)
        : Math.round(options.fraction * count);
    const kept = images.countsBySide[sides.validation][index] ?? 0;
    if (kept === count) throw nothingToTrain(images.labels[index] ?? "", count);
    return Math.max(0, Math.min(Math.max(1, share) - kept, count - kept - 1));
  });
  return new PartChoice(images, sides.validation, lowestRanks(images, wanted));
}

function nothingToTrain(label: string, images: number): TrommelError {
  return new TrommelError(
    "bad-dataset",
    `cannot split the dataset: earlier runs validated on every one of the ${images} images that class ${JSON.stringify(label)} has left, so none may train. Add images, or choose another --seed`,
    { context: { label, images } },
  );
}
