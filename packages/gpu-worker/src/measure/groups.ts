/** Which images belong together: byte-equal ones, and those that a recipe groups. */
export interface Groups {
  readonly count: number;
  /** The group of each image, from 0 to count − 1. */
  readonly of: Int32Array;
}

/**
 * Numbers the groups of images from 0 on, in the order in which they appear.
 * @param groupOf any number for each group. @default every image is its own group
 */
export function numberGroups(images: number, groupOf?: Int32Array): Groups {
  if (groupOf === undefined) return { count: images, of: Int32Array.from({ length: images }, (_, i) => i) };
  const numbers = new Map<number, number>();
  const of = groupOf.map((group) => {
    const number = numbers.get(group) ?? numbers.size;
    numbers.set(group, number);
    return number;
  });
  return { count: numbers.size, of };
}
