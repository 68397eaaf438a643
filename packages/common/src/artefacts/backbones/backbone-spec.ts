import { z } from "zod";

/**
 * A backbone: a frozen network, uint8 pixels in, one embedding out; known by its spec and the hash of its weights.
 *
 * In the store: `backbones/<name>@<hash12>/` with `spec.json`, `model.onnx` and, where the source was a layers model,
 * `layers/model.json` and `layers/weights.bin` (float32, cut at the embedding).
 *
 * `model.onnx` is always normalised float32 `[N, 3, inputSize, inputSize]` (input `image`) to float32 `[N, dimension]`
 * (output `embedding`); pixel order, scaling and view sampling are put before it by the graph that embeds it.
 */

/** The orders of colour channels that networks expect. */
export const channelOrders = ["rgb", "bgr"] as const;
export type ChannelOrder = (typeof channelOrders)[number];

/** Global pooling of a feature map [H, W, C] to an embedding [C]. */
export const poolings = ["average", "max"] as const;
export type Pooling = (typeof poolings)[number];

/**
 * Pooling of tokens [T, D] to an embedding: the class token, the mean of the patches' tokens (neither the class token nor
 * registers), or both side by side [2·D].
 */
export const tokenPoolings = ["cls", "mean", "cls+mean"] as const;
export type TokenPooling = (typeof tokenPoolings)[number];

export const outputPoolings = [...poolings, ...tokenPoolings] as const;
export type OutputPooling = (typeof outputPoolings)[number];

/** The order of axes: channels before height and width, or after them. */
export const axisOrders = ["nchw", "nhwc"] as const;
export type AxisOrder = (typeof axisOrders)[number];

const name = z
  .string()
  .regex(
    /^[a-z0-9][a-z0-9._-]{0,62}$/,
    "a name has 1 to 63 of a-z, 0-9, '.', '_', '-' and starts with a letter or digit",
  );

export const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

const triple = z.tuple([z.number(), z.number(), z.number()]);

/** How 0..255 pixels become the network's input: (pixel - mean) / deviation, per RGB channel, in 0..255 units. */
export const normalization = z
  .object({
    mean: triple,
    deviation: triple.refine((d) => d.every((v) => v > 0), "deviations are above zero"),
  })
  .strict();
export type Normalization = z.infer<typeof normalization>;

/** The named normalisations of Keras (`tf`, `torch`) and two plain ones. ImageNet's figures are torchvision's. */
export const namedNormalizations = {
  tf: { mean: [127.5, 127.5, 127.5], deviation: [127.5, 127.5, 127.5] },
  torch: { mean: [123.675, 116.28, 103.53], deviation: [58.395, 57.12, 57.375] },
  unit: { mean: [0, 0, 0], deviation: [255, 255, 255] },
  none: { mean: [0, 0, 0], deviation: [1, 1, 1] },
} as const satisfies Record<string, Normalization>;

export const normalizationName = z.enum(
  Object.keys(namedNormalizations) as [keyof typeof namedNormalizations],
);

/** The figures of that name, as a copy. */
export function normalizationNamed(name: z.infer<typeof normalizationName>): Normalization {
  const { mean, deviation } = namedNormalizations[name];
  return { mean: [...mean], deviation: [...deviation] };
}

export const backboneSpec = z
  .object({
    formatVersion: z.literal(1),
    name,
    /** sha256 over the canonical JSON of everything that decides an embedding: see backbone identity in the worker. */
    hash: sha256,
    modelSha256: sha256,
    /** Length of the embedding. */
    dimension: z.int().positive(),
    /** Side of the square input in pixels. */
    inputSize: z.int().positive().max(4096),
    normalization,
    /** Order in which the network wants the channels; `bgr` is swapped inside the graph that embeds it. */
    channelOrder: z.enum(channelOrders),
    opset: z.int(),
    parameterCount: z.int().nonnegative(),
    source: z
      .object({
        /**
         * `h5` and `safetensors` are Keras weights for an architecture of the zoo; `random` ones come from a seed; `int8` is a
         * quantised copy of another backbone, which `url` names by its id; `tuned` was trained by the run that `url` names, from the
         * backbone `from`.
         */
        kind: z.enum(["layers", "onnx", "h5", "safetensors", "random", "int8", "tuned"]),
        /** Its origin, without credentials. */
        url: z.string(),
        /** sha256 of the named file (model.json, the ONNX file, the weights), of the random weights themselves, or of the checkpoint. */
        sha256: sha256,
        /** Id of the backbone that was tuned. */
        from: z.string().optional(),
        /** An architecture of the zoo, for the kinds that need one. */
        architecture: z.string().optional(),
        /** Layer or tensor at which the network was cut. */
        output: z.string(),
        pooling: z.enum([...outputPoolings, "none"]),
        /** As the repository that it was pulled from states it. */
        licence: z.string().optional(),
        /** How that repository makes a square of a picture: fields of a recipe's `decode`, and the share of a crop. */
        decode: z
          .object({
            fit: z.enum(["squash", "crop"]),
            kernel: z.enum(["nearest", "linear", "cubic", "lanczos3"]),
            crop: z.number().positive(),
          })
          .strict()
          .optional(),
        /** Files of weights that the named file names, by their paths relative to it. */
        files: z.array(z.object({ path: z.string(), sha256: sha256 }).strict()).optional(),
      })
      .strict(),
    /**
     * The check against TensorFlow.js at import, for a quantised backbone against its original; null for ONNX encoders,
     * which have no second implementation here.
     */
    parity: z
      .object({
        reference: z.string(),
        inputs: z.int().positive(),
        maxRelativeDifference: z.number().nonnegative(),
      })
      .strict()
      .nullable(),
  })
  .strict();

export type BackboneSpec = z.infer<typeof backboneSpec>;

/** `name@hash12`, the folder name of a backbone in the store. */
export function backboneId(spec: Pick<BackboneSpec, "name" | "hash">): string {
  return `${spec.name}@${spec.hash.slice(0, 12)}`;
}

export const backboneName = name;
