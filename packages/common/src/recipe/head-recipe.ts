import { z } from "zod";

const dropoutRate = z.number().min(0).lt(1);
/** Dropout on the input, in training only. */
const inputDropout = dropoutRate.default(0);

export const headRecipe = z.discriminatedUnion("type", [
  z
    .object({
      type: z.literal("se"),
      inputDropout,
      /** Rate r of Gaussian dropout: multiplicative noise N(1, r / (1 - r)) on the gate's input, in training only. */
      dropout: dropoutRate.default(0.5),
      /** The gate's hidden width is features / reduction. */
      reduction: z.number().min(1).default(16),
      /** Activation of the gate's hidden layer. */
      activation: z.enum(["swish", "relu"]).default("swish"),
      /** Plain dropout on the gated features. */
      outputDropout: dropoutRate.default(0),
    })
    .strict(),
  z
    .object({
      type: z.literal("linear"),
      /** Dropout on the input, in training only. */
      dropout: dropoutRate.default(0),
      /** Whether the layer has a bias. */
      bias: z.boolean().default(true),
    })
    .strict(),
  z
    .object({
      type: z.literal("mlp"),
      /** Widths of the hidden layers. */
      hidden: z.array(z.int().positive()).min(1).default([256]),
      /** Activation of the hidden layers. */
      activation: z.enum(["relu", "swish", "tanh"]).default("relu"),
      inputDropout,
      /** Dropout after each hidden layer, in training only. */
      dropout: dropoutRate.default(0.5),
    })
    .strict(),
]);
export type HeadRecipe = z.infer<typeof headRecipe>;
