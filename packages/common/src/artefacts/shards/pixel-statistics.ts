import { z } from "zod";
import { normalization } from "../backbones/backbone-spec.js";

/**
 * Sums over the pixels of one shard's base images, per RGB channel in 0..255. Whole numbers, so that adding shards up
 * gives the same whatever their order and however the listing was cut. The largest shard of the largest base images
 * (4096 of 4096² pixels) sums squares to 4.5e15, under 2^53.
 */
const channelSums = z.tuple([z.int().nonnegative(), z.int().nonnegative(), z.int().nonnegative()]);

export const pixelStatistics = z
  .object({
    formatVersion: z.literal(1),
    /** Images that could be read. */
    images: z.int().nonnegative(),
    /** Their pixels: what each channel's sums are over. */
    pixels: z.int().nonnegative(),
    sums: channelSums,
    squareSums: channelSums,
  })
  .strict();
export type PixelStatistics = z.infer<typeof pixelStatistics>;

/** `normalization.json`: mean and deviation of a dataset's pixels, see `statistics-to-normalization` in the worker. */
export const datasetNormalization = normalization
  .extend({
    formatVersion: z.literal(1),
    images: z.int().positive(),
    pixels: z.int().positive(),
  })
  .strict();
export type DatasetNormalization = z.infer<typeof datasetNormalization>;
