import { SeededRandom, TrommelError } from "@trommel/common";
import { decodeSafetensors, encodeSafetensors } from "@trommel/common/codec";
import type { Classified } from "../../backbone/engines/engine.js";

/** What a model gives for a few drawn pictures travels with its bundle, and holds those who serve it elsewhere to it. */

/** Each takes 3 · side² bytes. */
export const goldenImages = 4;

/** Pixels, and what a model must give for them. */
export interface Golden {
  /** [images, side, side, 3] */
  readonly pixels: Uint8Array;
  readonly images: number;
  /** [images, classes] */
  readonly probabilities: Float32Array;
  /** [images]; null if the model does not tell it. */
  readonly novelty: Float32Array | null;
}

/**
 * Pictures of nothing: waves of colour, each with a patch of noise, so that smooth and sharp parts reach the network. Drawn from
 * constants alone: no picture of a user leaves with a bundle.
 * @returns [goldenImages, side, side, 3]
 */
export function drawGolden(side: number): Uint8Array {
  const pixels = new Uint8Array(goldenImages * side * side * 3);
  const random = new SeededRandom(17);
  let next = 0;
  for (let image = 0; image < goldenImages; image += 1) {
    for (let y = 0; y < side; y += 1) {
      for (let x = 0; x < side; x += 1) {
        const isNoise = x % side > side / 2 && y > side / 2;
        for (let channel = 0; channel < 3; channel += 1) {
          const turns = ((image + 1) * x + (channel + 1) * y) / side + channel / 3;
          const wave = Math.abs((turns % 2) - 1);
          pixels[next] = Math.floor((isNoise ? random.unit() : wave) * 255);
          next += 1;
        }
      }
    }
  }
  return pixels;
}

export function encodeGolden({ pixels, images, probabilities, novelty }: Golden, side: number): Uint8Array {
  const tensors = {
    pixels: { dtype: "U8" as const, shape: [images, side, side, 3], data: pixels },
    probabilities: {
      dtype: "F32" as const,
      shape: [images, probabilities.length / images],
      data: probabilities,
    },
    ...(novelty === null ? {} : { novelty: { dtype: "F32" as const, shape: [images], data: novelty } }),
  };
  return encodeSafetensors({ tensors, metadata: {} });
}

/** @throws TrommelError `corrupt` if it is not of the model's sizes */
export function decodeGolden(
  bytes: Uint8Array,
  of: { readonly images: number; readonly side: number; readonly classes: number; readonly where: string },
): Golden {
  const { images, side, classes, where } = of;
  const { tensors } = decodeSafetensors(bytes);
  const { pixels, probabilities, novelty } = tensors;
  const isWhole =
    pixels?.data instanceof Uint8Array &&
    probabilities?.data instanceof Float32Array &&
    pixels.data.length === images * side * side * 3 &&
    probabilities.data.length === images * classes;
  if (!isWhole)
    throw new TrommelError(
      "corrupt",
      `cannot read ${where}: it does not hold ${images} pictures of ${side} pixels and ${classes} probabilities each. Copy the bundle again`,
    );
  const ofNovelty = novelty?.data instanceof Float32Array ? novelty.data : null;
  return { pixels: pixels.data, images, probabilities: probabilities.data, novelty: ofNovelty };
}

/** @returns the largest difference of a probability, and of a novelty if the model tells it */
export function differenceFrom(
  expected: Pick<Golden, "probabilities" | "novelty">,
  found: Pick<Classified, "probabilities" | "novelty">,
): { readonly ofProbability: number; readonly ofNovelty: number } {
  return {
    ofProbability: largestDifference(expected.probabilities, found.probabilities),
    ofNovelty: expected.novelty === null ? 0 : largestDifference(expected.novelty, found.novelty),
  };
}

/** A missing value, or one that is not a number, differs beyond all bounds. */
function largestDifference(expected: Float32Array, found: Float32Array | null): number {
  let largest = 0;
  for (const [i, value] of expected.entries()) {
    const difference = Math.abs(value - (found?.[i] ?? Number.NaN));
    largest = Math.max(largest, Number.isNaN(difference) ? Infinity : difference);
  }
  return largest;
}
