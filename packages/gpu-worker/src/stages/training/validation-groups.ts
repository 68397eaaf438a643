import { readDivision, type ImagePlace } from "@trommel/common/artefacts";
import type { StageContext } from "../context.js";
import { readDividedImages } from "../dividing/divided-images.js";
import { ImageGroups } from "../dividing/image-groups.js";
import type { ResolvedRun } from "../inputs/run.js";

/** The group of each of these images: copies and the members of a group have one number. */
export async function groupsOfPlaces(
  config: ResolvedRun,
  places: readonly ImagePlace[],
  context: StageContext,
): Promise<Int32Array> {
  const images = await readDividedImages(config, await readDivision(context.store, config), context);
  const nameOf = ({ shard, position }: ImagePlace): string => `${shard}/${position}`;
  const tokensOf = new Map(images.map((image) => [nameOf(image), image.tokens]));
  return groupNumbers(places.map((place) => tokensOf.get(nameOf(place)) ?? []));
}

/** @param tokens of each image. @returns the number of each image's group */
export function groupNumbers(tokens: readonly (readonly string[])[]): Int32Array {
  const together = new ImageGroups();
  for (const of of tokens) together.add(of);
  const groupOf = new Int32Array(tokens.length);
  for (const [group, members] of together.groups().entries())
    for (const member of members) groupOf[member] = group;
  return groupOf;
}
