import type { ImagePlace } from "@trommel/common/artefacts";
import { ImageGroups } from "../dividing/image-groups.js";
import type { SplitImage } from "../dividing/whole-parts.js";

/**
 * The group of each of these images: copies and the members of a group have one number.
 * @param related every image that has a copy or is in a group
 */
export function groupsOfPlaces(places: readonly ImagePlace[], related: readonly SplitImage[]): Int32Array {
  const nameOf = ({ shard, position }: ImagePlace): string => `${shard}/${position}`;
  const tokensOf = new Map(
    related.map((image) => [
      nameOf(image),
      [`content:${image.content}`, ...(image.group === undefined ? [] : [`group:${image.group}`])],
    ]),
  );
  return groupNumbers(places.map((place) => tokensOf.get(nameOf(place)) ?? []));
}

/** @param tokens of each image, of which those that share one are in a group. @returns the number of each image's group */
export function groupNumbers(tokens: readonly (readonly string[])[]): Int32Array {
  const together = new ImageGroups();
  for (const of of tokens) together.add(of);
  const groupOf = new Int32Array(tokens.length);
  for (const [group, members] of together.groups().entries())
    for (const member of members) groupOf[member] = group;
  return groupOf;
}
