import { z } from "zod";

/** Images with the same bytes and different labels: one of the labels is wrong, or the picture shows both. */
export const contradictions = z
  .object({
    /** Sets of such images, and the images in them. */
    sets: z.int().positive(),
    images: z.int().positive(),
    /** The first images of the first sets: one of each label, as far as so many are shown, and then others. */
    examples: z.array(z.array(z.object({ key: z.string(), label: z.string() }).strict())),
  })
  .strict();
export type Contradictions = z.infer<typeof contradictions>;
