import { testPart, type Division, type Grouping } from "@trommel/common/artefacts";
import type { DividedImage } from "./divided-images.js";

/** What came out otherwise than a list, or an earlier run, says of an image: where copies or members of a group pull two ways. */
export interface DividedRun {
  readonly images: readonly DividedImage[];
  /** The images of each group, by their places in `images`. */
  readonly members: readonly (readonly number[])[];
  /** The fold of an image, or `testPart`. */
  readonly partOf: (image: DividedImage) => number;
  /** Tokens of what earlier runs tested on. */
  readonly remembered: ReadonlySet<string>;
  readonly division: Division;
}

/** Sentences, each about one kind of conflict, with the images' number and the first names. */
export function divisionNotes(run: DividedRun): string[] {
  const { images, division } = run;
  return division.listed === undefined ? rememberedNotes(run) : listedNotes(run, division.listed, images);
}

/** Images that no earlier run tested on, and that are tested on now because of a copy or a member of their group. */
function rememberedNotes({ images, members, remembered, partOf }: DividedRun): string[] {
  const followers: DividedImage[] = [];
  for (const of of members) {
    const own = of.map((image) => images[image] as DividedImage);
    const isRemembered = own.some(({ tokens }) => tokens.some((token) => remembered.has(token)));
    if (isRemembered) followers.push(...own.filter((image) => !wasTested(image, remembered)));
  }
  return noteOf(
    followers.filter((image) => partOf(image) === testPart),
    "in the test part because a copy or a member of the same group was in it in an earlier run",
  );
}

function listedNotes(
  { remembered, partOf }: DividedRun,
  listed: ReadonlySet<string>,
  images: readonly DividedImage[],
): string[] {
  const isTested = (image: DividedImage): boolean => partOf(image) === testPart;
  return [
    ...noteOf(
      images.filter((image) => isTested(image) && !listed.has(image.key)),
      "in the test part without being named by split.test, because it names a copy or a member of the same group",
    ),
    ...noteOf(
      images.filter((image) => !isTested(image) && listed.has(image.key)),
      "trained on, though named by split.test, because the run that this one retries trained on a copy or a member of the same group",
    ),
    ...noteOf(
      images.filter((image) => !isTested(image) && wasTested(image, remembered)),
      "trained on now, and tested on by an earlier run",
    ),
  ];
}

function wasTested({ tokens }: DividedImage, remembered: ReadonlySet<string>): boolean {
  return remembered.has(tokens[0] as string);
}

const namedAtMost = 3;

function noteOf(images: readonly DividedImage[], what: string): string[] {
  if (images.length === 0) return [];
  const names = images.slice(0, namedAtMost).map(({ key }) => key);
  const more = images.length > namedAtMost ? ", …" : "";
  const count = images.length === 1 ? "1 image is" : `${images.length} images are`;
  return [`${count} ${what} (${names.join(", ")}${more}).`];
}

/** What grouped the images that could be read; null if the recipe groups none. */
export function groupingOf(
  images: readonly DividedImage[],
  { groupedBy, groupOf }: Division,
): Grouping | null {
  if (groupedBy === undefined) return null;
  const groups = images.flatMap(({ key }) => groupOf(key) ?? []);
  return {
    by: groupedBy,
    groups: new Set(groups).size,
    images: groups.length,
    alone: images.length - groups.length,
  };
}

/** A sentence on what grouped the images, if anything did. */
export function groupingNotes(grouping: Grouping | null): string[] {
  if (grouping === null) return [];
  const { by, groups, images, alone } = grouping;
  const without =
    alone === 0
      ? ""
      : `; ${alone} ${alone === 1 ? "other has" : "others have"} no group, and each is on its own`;
  return [
    `Images are grouped by ${by}: ${images} are in ${groups} ${groups === 1 ? "group" : "groups"}${without}.`,
  ];
}
