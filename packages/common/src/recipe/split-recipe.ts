import { z } from "zod";

/** How images are divided; only for `head: auto`. */
export const splitRecipe = z
  .object({
    /**
     * A part on which nothing is fitted, chosen or calibrated: this share of every class's images. Null keeps none.
     */
    test: z.number().gt(0).lt(1).nullable().default(null),
    /**
     * Images of one group are never divided: a folder level of the key (1 is the first folder), or what a regular expression
     * captures from the key (its first group, or all that it matches). Null: every image is its own group. Images with the
     * same bytes are one group in any case.
     */
    groups: z
      .union([
        z.object({ folder: z.int().min(1).max(20) }).strict(),
        z.object({ pattern: z.string().min(1).refine(isPattern, "it is no regular expression") }).strict(),
      ])
      .nullable()
      .default(null),
  })
  .strict();

function isPattern(text: string): boolean {
  try {
    new RegExp(text, "u");
    return true;
  } catch {
    return false;
  }
}
