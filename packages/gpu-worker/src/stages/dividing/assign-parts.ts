import { noFold, testPart } from "@trommel/common/artefacts";

/** Images that stay together. */
export interface ImageGroup {
  /** The class of each image. */
  readonly classes: readonly number[];
  /** 32 bits that decide the order among groups: from the seed and what the images are, not from their keys or places. */
  readonly rank: number;
  /** The part that an earlier run or the run that this one retries gave it: a fold, or {@link testPart}. */
  readonly fixed: number | undefined;
}

export interface AssignedParts {
  readonly folds: number;
  /** By group: a fold from 0, or {@link testPart}. */
  readonly parts: readonly number[];
  readonly notes: readonly string[];
}

/**
 * Divides groups of images into a test part and folds, stratified by class.
 *
 * The test part gets the share of every class, by rank; groups that are fixed there count first. Then groups of several images,
 * the largest first, and then the others by rank go to the fold that has the fewest images of their classes, of equal ones to
 * the one with the fewest images, of equal ones to the first. So the sizes of a class in two folds differ by at most one, but
 * for groups of several images.
 *
 * @param classNames in order of the class numbers; a class without images is left out of account
 * @param options.undividable the error for a class with fewer than two groups outside the test part
 * @throws that error
 */
export function assignParts(
  groups: readonly ImageGroup[],
  classNames: readonly string[],
  options: {
    readonly folds: number;
    readonly test: number | null;
    readonly undividable: (classIndex: number, parts: readonly number[]) => Error;
  },
): AssignedParts {
  const parts = groups.map(({ fixed }) => fixed ?? noFold);
  if (options.test !== null) takeTestPart(groups, parts, classNames, options.test);
  const rest = [...groups.keys()].filter((group) => parts[group] !== testPart);
  const { folds, notes, alone } = countFolds(groups, rest, classNames, options.folds);
  if (alone !== undefined) throw options.undividable(alone, parts);
  const dealer = new Dealer(folds, classNames.length);
  for (const group of rest) if ((parts[group] as number) >= 0) dealer.put(groups[group]!, parts[group]!);
  const open = rest.filter((group) => parts[group] === noFold);
  for (const group of open.sort((a, b) => order(groups[a]!, groups[b]!)))
    parts[group] = dealer.deal(groups[group]!);
  return { folds, parts, notes };
}

/** Larger groups first, as what is dealt last evens out what came before. */
function order(a: ImageGroup, b: ImageGroup): number {
  return b.classes.length - a.classes.length || a.rank - b.rank;
}

function takeTestPart(
  groups: readonly ImageGroup[],
  parts: number[],
  classNames: readonly string[],
  share: number,
): void {
  const counts = countClasses(groups, classNames.length);
  const missing = counts.map((count) => (count === 0 ? 0 : Math.max(1, Math.round(share * count))));
  for (const [at, { classes }] of groups.entries())
    if (parts[at] === testPart) for (const index of classes) missing[index] = missing[index]! - 1;
  const open = [...groups.keys()].filter((group) => parts[group] === noFold);
  for (const group of open.sort((a, b) => groups[a]!.rank - groups[b]!.rank)) {
    const { classes } = groups[group]!;
    const wanted = classes.reduce((sum, index) => sum + (missing[index]! > 0 ? 1 : -1), 0);
    if (wanted <= 0) continue;
    parts[group] = testPart;
    for (const index of classes) missing[index] = missing[index]! - 1;
  }
}

/** As many folds as every class has groups, at most those that were asked for; `alone` is a class that cannot be divided. */
function countFolds(
  groups: readonly ImageGroup[],
  rest: readonly number[],
  classNames: readonly string[],
  asked: number,
): { folds: number; notes: string[]; alone?: number } {
  const having = classNames.map(() => 0);
  for (const group of rest)
    for (const index of new Set(groups[group]!.classes)) having[index] = having[index]! + 1;
  const images = countClasses(groups, classNames.length);
  let least = asked;
  let scarce = -1;
  for (const index of classNames.keys()) {
    if (images[index] === 0) continue;
    if (having[index]! < 2) return { folds: asked, notes: [], alone: index };
    if (having[index]! < least) [least, scarce] = [having[index]!, index];
  }
  const notes =
    scarce < 0
      ? []
      : [
          `There are ${least} folds instead of ${asked}, because the class ${JSON.stringify(classNames[scarce])} has only ${least} images or groups of images that can be divided.`,
        ];
  return { folds: least, notes };
}

function countClasses(groups: readonly ImageGroup[], classCount: number): number[] {
  const counts = new Array<number>(classCount).fill(0);
  for (const { classes } of groups) for (const index of classes) counts[index] = counts[index]! + 1;
  return counts;
}

/** Deals groups to the folds. */
class Dealer {
  readonly #classCounts: number[][];
  readonly #sizes: number[];

  constructor(folds: number, classCount: number) {
    this.#classCounts = Array.from({ length: folds }, () => new Array<number>(classCount).fill(0));
    this.#sizes = new Array<number>(folds).fill(0);
  }

  deal(group: ImageGroup): number {
    let best = 0;
    for (let fold = 1; fold < this.#sizes.length; fold += 1)
      if (this.#isBetter(fold, best, group)) best = fold;
    this.put(group, best);
    return best;
  }

  put({ classes }: ImageGroup, fold: number): void {
    for (const index of classes) this.#classCounts[fold]![index] = this.#classCounts[fold]![index]! + 1;
    this.#sizes[fold] = this.#sizes[fold]! + classes.length;
  }

  #isBetter(fold: number, than: number, { classes }: ImageGroup): boolean {
    const held = (of: number): number =>
      classes.reduce((sum, index) => sum + this.#classCounts[of]![index]!, 0);
    return (
      held(fold) - held(than) < 0 || (held(fold) === held(than) && this.#sizes[fold]! < this.#sizes[than]!)
    );
  }
}
