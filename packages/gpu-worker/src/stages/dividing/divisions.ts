import { seedFrom } from "@trommel/common";
import { noFold, testPart, type FoldSplit } from "@trommel/common/artefacts";
import { assignParts, type AssignedParts, type ImageGroup } from "./assign-parts.js";
import type { DividedImage } from "./divided-images.js";

/** The same images divided into folds several times. */
export interface Divisions {
  readonly folds: number;
  /** By division and group: a fold, or `testPart`, which every division has the same. */
  readonly parts: readonly [first: readonly number[], ...further: (readonly number[])[]];
  readonly notes: readonly string[];
}

/**
 * Divides groups of images into folds, by {@link assignParts}, as often as it is asked for. The first division decides the test part and
 * the number of folds. A further one differs by what its groups are ranked by: its number is hashed with seed and contents.
 *
 * @param members the images of each group
 * @param options.before the divisions that a run has which this one retries: their images keep their parts
 * @param options.fixedPart the part that a group has in the first division
 * @param options.undividable as of `assignParts`
 */
export function drawDivisions(
  members: readonly (readonly DividedImage[])[],
  labels: readonly string[],
  options: {
    readonly seed: number;
    readonly repeats: number;
    readonly folds: number;
    readonly test: number | null;
    readonly before: FoldSplit | undefined;
    readonly fixedPart: (images: readonly DividedImage[]) => number | undefined;
    readonly undividable: (classIndex: number, parts: readonly number[]) => Error;
  },
): Divisions {
  const { seed, repeats, before, undividable } = options;
  const indexOf = new Map(labels.map((label, index) => [label, index]));
  const draw = (
    repeat: number,
    fixedOf: (images: readonly DividedImage[], group: number) => number | undefined,
    { folds, test }: { readonly folds: number; readonly test: number | null },
  ): AssignedParts => {
    const groups = members.map((images, group): ImageGroup => ({
      classes: images.map(({ label }) => indexOf.get(label) ?? 0),
      rank: rankOf(seed, repeat, images),
      fixed: fixedOf(images, group),
    }));
    return assignParts(groups, labels, { folds, test, undividable });
  };
  const first = draw(0, options.fixedPart, options);
  const { folds, notes } = first;
  const further = Array.from({ length: repeats - 1 }, (_, at) => {
    const known = before?.furtherParts?.[at];
    const fixedOf = (images: readonly DividedImage[], group: number): number | undefined =>
      first.parts[group] === testPart ? testPart : partBefore(images, known);
    return draw(at + 1, fixedOf, { folds, test: null }).parts;
  });
  const parts = [first.parts, ...further] as const;
  return { folds, parts, notes: [...notes, ...unseenNotes(members, labels, parts)] };
}

/** Classes whose groups came into one fold: the heads that are trained on the others see no image of them. */
function unseenNotes(
  members: readonly (readonly DividedImage[])[],
  labels: readonly string[],
  divisions: Divisions["parts"],
): string[] {
  const foldsOf = (label: string, parts: readonly number[]): Set<number> =>
    new Set(
      parts.filter((part, group) => part !== testPart && members[group]?.some((of) => of.label === label)),
    );
  return labels.flatMap((label) => {
    const times = divisions.filter((parts) => foldsOf(label, parts).size === 1).length;
    if (times === 0) return [];
    const where = divisions.length === 1 ? "" : ` in ${times} of the ${divisions.length} divisions`;
    return [
      `All images of class ${JSON.stringify(label)} outside the test part are in one fold${where}, because groups hold several classes: the heads that predict them have never seen the class, and its figures are too low.`,
    ];
  });
}

/** The part that the first of some images had which had one. */
export function partBefore(
  images: readonly DividedImage[],
  parts: FoldSplit["parts"] | undefined,
): number | undefined {
  const known = images.map(({ shard, position }) => parts?.[shard]?.[position]);
  return known.find((of) => of !== undefined && of !== noFold);
}

/**
 * From what the images are, whatever their keys: the least of the hashes of the seed and each image's content, and of the number of a
 * division after the first.
 */
function rankOf(seed: number, repeat: number, images: readonly DividedImage[]): number {
  const own = repeat === 0 ? [] : [repeat];
  return images.reduce(
    (least, { content }) => Math.min(least, seedFrom("division", seed, content, ...own) >>> 0),
    2 ** 32,
  );
}

/**
 * What groups have, by shard and position of their images.
 * @param sizes the entries of each shard
 * @param otherwise what an image has that is in no group
 */
export function byPlace(
  ofGroups: readonly number[],
  members: readonly (readonly DividedImage[])[],
  sizes: readonly number[],
  otherwise: number,
): number[][] {
  const placed = sizes.map((size) => new Array<number>(size).fill(otherwise));
  for (const [group, images] of members.entries())
    for (const { shard, position } of images) placed[shard]![position] = ofGroups[group] as number;
  return placed;
}
