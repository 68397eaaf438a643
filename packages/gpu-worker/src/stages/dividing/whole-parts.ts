import { seedFrom } from "@trommel/common";
import type { ImagePlace } from "@trommel/common/artefacts";
import { ImageGroups } from "./image-groups.js";

/** An image that has a copy or a group, and the side that the split puts it on. */
export interface SplitImage extends ImagePlace {
  readonly key: string;
  readonly label: string;
  readonly content: string;
  readonly group: string | undefined;
  readonly side: "train" | "validation" | "test";
}

type Counts = Map<string, number>;

/**
 * Puts what belongs together on one side of training and validation: copies of a file, and the members of a group, however these chain.
 *
 * What lies on both sides validates as a whole as long as its classes have fewer validation images than the split gave them, those first
 * of which the larger share validates already, then by a hash of the seed and the content; the rest trains. No class loses its last
 * training image. Images of the test part stay there; how they are measured is decided where they are.
 *
 * @param unrelated images that have neither, by label
 */
export function wholeParts(
  images: readonly SplitImage[],
  unrelated: ReadonlyMap<string, { readonly train: number; readonly validation: number }>,
  seed: number,
): { readonly toTraining: ImagePlace[]; readonly toValidation: ImagePlace[] } {
  const { divided, training, missing, undecided } = countSides(images, unrelated);
  const toTraining: ImagePlace[] = [];
  const toValidation: ImagePlace[] = [];
  for (const members of divided.sort(byShare(seed))) {
    const own = countLabels(members);
    const gain = members.reduce((sum, { label }) => sum + (of(missing, label) > 0 ? 1 : -1), 0);
    const isSpared = [...own].every(
      ([label, count]) => of(training, label) + of(undecided, label) - count > 0,
    );
    const validates = gain > 0 && isSpared;
    for (const [label, count] of own) {
      undecided.set(label, of(undecided, label) - count);
      const side = validates ? missing : training;
      side.set(label, of(side, label) + (validates ? -count : count));
    }
    for (const image of members) {
      const { shard, position, side } = image;
      if (validates && side === "train") toValidation.push({ shard, position });
      if (!validates && side === "validation") toTraining.push({ shard, position });
    }
  }
  return { toTraining, toValidation };
}

/** The sets that lie on both sides, and by label: images that train in any case, that validation lacks without those sets, of those sets. */
function countSides(
  images: readonly SplitImage[],
  unrelated: ReadonlyMap<string, { readonly train: number }>,
): { divided: SplitImage[][]; training: Counts; missing: Counts; undecided: Counts } {
  const together = new ImageGroups();
  for (const { content, group } of images)
    together.add([`content:${content}`, ...(group === undefined ? [] : [`group:${group}`])]);
  const sets = together
    .groups()
    .map((of) => of.flatMap((at) => images[at] ?? []).filter(({ side }) => side !== "test"));
  const isDivided = (of: readonly SplitImage[]): boolean =>
    of.some(({ side }) => side === "train") && of.some(({ side }) => side === "validation");
  const divided = sets.filter(isDivided);
  const training = new Map([...unrelated].map(([label, { train }]) => [label, train]));
  for (const { label, side } of sets.filter((of) => !isDivided(of)).flat())
    if (side === "train") training.set(label, of(training, label) + 1);
  const missing = countLabels(divided.flat().filter(({ side }) => side === "validation"));
  return { divided, training, missing, undecided: countLabels(divided.flat()) };
}

function countLabels(images: readonly SplitImage[]): Counts {
  const counts: Counts = new Map();
  for (const { label } of images) counts.set(label, of(counts, label) + 1);
  return counts;
}

function of(counts: ReadonlyMap<string, number>, label: string): number {
  return counts.get(label) ?? 0;
}

function byShare(seed: number): (a: readonly SplitImage[], b: readonly SplitImage[]) => number {
  const share = (of: readonly SplitImage[]): number =>
    of.filter(({ side }) => side === "validation").length / of.length;
  const rank = (of: readonly SplitImage[]): number =>
    of.reduce((least, { content }) => Math.min(least, seedFrom("whole parts", seed, content) >>> 0), 2 ** 32);
  return (a, b) => share(b) - share(a) || rank(a) - rank(b);
}
