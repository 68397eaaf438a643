import { z } from "zod";
import { TrommelError } from "../../errors.js";
import { servedFlips } from "../../recipe/serving-views.js";
import type { BundleManifest } from "./bundle.js";

/**
 * What a scoring writes of each image besides its labels. `raw`: the backbones' embeddings of the image itself, concatenated, without its
 * flips. `projected`: what the heads take of these, projected or standardised.
 */
export const scoredEmbeddings = z
  .object({ vector: z.enum(["raw", "projected"]), type: z.enum(["f16", "f32"]) })
  .strict();
export type ScoredEmbeddings = z.infer<typeof scoredEmbeddings>;

/** How a model's graph has that vector. */
export interface ServedEmbedding {
  readonly vector: ScoredEmbeddings["vector"];
  /** What the graph does first with the backbones' embeddings. */
  readonly next: "projection" | "standardization" | "heads";
  /** Numbers in the vector. */
  readonly dimension: number;
  /** The views of an image that the graph averages; the first is the image itself. */
  readonly views: number;
}

/** @throws TrommelError `unsupported` if the heads take the embeddings as they are, and the projected ones are asked for */
export function servedEmbedding(
  {
    backbones,
    svd,
    ensemble,
    recipe,
    run,
  }: Pick<BundleManifest, "backbones" | "svd" | "ensemble" | "recipe" | "run">,
  { vector }: Pick<ScoredEmbeddings, "vector">,
): ServedEmbedding {
  const next = svd !== null ? "projection" : ensemble !== null ? "standardization" : "heads";
  const dimension = backbones.reduce((sum, spec) => sum + spec.dimension, 0);
  if (vector === "projected" && next === "heads")
    throw new TrommelError(
      "unsupported",
      `cannot write the projected embeddings: the model of ${run} projects none, and its heads take the raw ones. Use --embeddings raw`,
      { context: { run } },
    );
  const size = vector === "projected" && svd !== null ? svd.components : dimension;
  return { vector, next, dimension: size, views: 1 + servedFlips(recipe).length };
}
