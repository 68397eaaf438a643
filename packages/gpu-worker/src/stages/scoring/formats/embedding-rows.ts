import type { ScoringConfig } from "@trommel/common";
import { roundedTo } from "../../../tables/vector-type.js";

/** Digits after which a text gives the same float32, or float16, again. */
const digits = { f32: 9, f16: 5 } as const;

/**
 * The embeddings of images as lists of numbers, which are those of the type that the scoring asks for.
 * @param values [images, dimension]
 * @throws TrommelError `unsupported` for a number that float16 cannot hold, `corrupt` for one that is not finite
 */
export function embeddingsOf(
  values: Float32Array,
  images: number,
  { embeddings }: Pick<ScoringConfig, "embeddings">,
): number[][] {
  const type = embeddings?.type ?? "f32";
  const exact = roundedTo(type, values, "Score with --embeddings-type f32 into another --output");
  const dimension = values.length / images;
  return Array.from({ length: images }, (_, image) =>
    Array.from(exact.subarray(image * dimension, (image + 1) * dimension), (value) =>
      Number(value.toPrecision(digits[type])),
    ),
  );
}
