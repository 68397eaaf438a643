import { z } from "zod";

const fraction = z.number().min(0).max(1);

/** A pair of numbers above zero, the smaller first. */
const positiveRange = z
  .tuple([z.number().positive(), z.number().positive()])
  .refine(([low, high]) => low <= high, "the smaller number comes first");

/** How an image is flipped: left and right, top and bottom, or both, which turns it by 180 degrees. */
export const flip = z.enum(["horizontal", "vertical", "both"]);
export type Flip = z.infer<typeof flip>;

export const viewsRecipe = z
  .object({
    /** Views per image. View 0 is always the identity; the others are drawn. */
    count: z.int().min(1).max(64).default(6),
    /**
     * The views after the first are the image flipped and nothing else, in this order: left and right (`horizontal`), top and
     * bottom (`vertical`), or `both`. A model that averages over them can then be measured.
     */
    flips: z
      .array(flip)
      .refine((flips) => new Set(flips).size === flips.length, "each flip is given once")
      .default([]),
    /** Degrees: uniform in [-rotation, rotation]. */
    rotation: z.number().min(0).max(180).default(20),
    /** Shift as a fraction of the side: uniform in [-shift, shift]. */
    shiftX: fraction.default(0.05),
    /** The same, vertically. */
    shiftY: fraction.default(0.05),
    /** Degrees of shear: uniform in [-shear, shear]. */
    shear: z.number().min(0).lt(90).default(0),
    /** Per-axis scale: uniform in [1 - zoom, 1 + zoom]. */
    zoom: z.number().min(0).lt(1).default(0.05),
    /** Mirrors left and right with probability one half; `alternate` mirrors every odd view and no other. */
    horizontalFlip: z.union([z.boolean(), z.literal("alternate")]).default(true),
    /** Mirrors top and bottom with probability one half. */
    verticalFlip: z.boolean().default(false),
    /** One of the four quarter turns, each with probability one quarter. */
    quarterTurns: z.boolean().default(false),
    /** With this probability each of the four edges loses a share of the side, uniform in [0, share]. */
    crop: z
      .object({ share: z.number().gt(0).lt(0.5), probability: fraction.default(1) })
      .strict()
      .nullable()
      .default(null),
    /** Random resized crop (Szegedy et al. 2015): share of the area, uniform; width over height, log-uniform. */
    resizedCrop: z
      .object({
        area: positiveRange.refine(([, most]) => most <= 1, "an area is at most 1").default([0.08, 1]),
        ratio: positiveRange.default([3 / 4, 4 / 3]),
      })
      .strict()
      .nullable()
      .default(null),
    /** How the geometric steps follow one another: always alike, or in an order that is drawn too. */
    order: z.enum(["fixed", "random"]).default("fixed"),
    /** Factor of brightness: uniform in [1 - v, 1 + v]. */
    brightness: z.number().min(0).max(1).default(0),
    /** The same for contrast. */
    contrast: z.number().min(0).max(1).default(0),
    /** The same for saturation. */
    saturation: z.number().min(0).max(1).default(0),
  })
  .strict()
  .refine(({ flips, count }) => flips.length < count, {
    path: ["count"],
    error: "the first view is the image itself, so there are more views than flips",
  });
export type ViewsRecipe = z.infer<typeof viewsRecipe>;
