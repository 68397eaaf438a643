import { TrommelError, type Normalization } from "@trommel/common";
import { CheckedModel } from "../import/checked-model.js";
import { probeImages } from "../import/probe-images.js";

export interface EmbeddingSpread {
  readonly images: number;
  /** The mean of 1 - cos over all pairs of probe images. */
  readonly meanCosineDistance: number;
}

const probeCount = 4;

/** Embeddings that differ by less, relative to their largest value, differ by rounding alone. */
const equalWithin = 1e-6;

/**
 * Embeds a few probe images.
 * @throws TrommelError `unsupported` for embeddings that are not finite, all zero, or the same for every image
 */
export async function measureSpread(
  model: Uint8Array,
  size: number,
  normalization: Normalization,
): Promise<EmbeddingSpread> {
  const images = probeImages(probeCount, size, normalization, "embedding spread");
  const length = 3 * size * size;
  const checked = await CheckedModel.load(model);
  const embeddings: Float32Array[] = [];
  try {
    for (let index = 0; index < probeCount; index++) {
      const image = images.subarray(index * length, (index + 1) * length);
      embeddings.push(Float32Array.from((await checked.embed(image, 1, size)).values));
    }
  } finally {
    await checked.release();
  }
  refuseUseless(embeddings);
  return { images: probeCount, meanCosineDistance: meanCosineDistance(embeddings) };
}

function refuseUseless(embeddings: readonly Float32Array[]): void {
  if (!embeddings.every((embedding) => embedding.every(Number.isFinite)))
    throw useless("have values that are not finite");
  const most = (of: (value: number, at: number) => number): number =>
    embeddings.reduce(
      (found, embedding) =>
        embedding.reduce((max, value, at) => Math.max(max, Math.abs(of(value, at))), found),
      0,
    );
  const largest = most((value) => value);
  if (largest === 0) throw useless("are all zero");
  const [first] = embeddings;
  if (most((value, at) => value - (first?.[at] ?? 0)) <= equalWithin * largest)
    throw useless("are the same for every image");
}

function useless(why: string): TrommelError {
  return new TrommelError(
    "unsupported",
    `cannot import the backbone: its embeddings of ${probeCount} probe images ${why}. Check --output and --normalize, and that its file holds trained weights`,
  );
}

function meanCosineDistance(embeddings: readonly Float32Array[]): number {
  const dot = (one: Float32Array, other: Float32Array): number =>
    one.reduce((sum, value, i) => sum + value * (other[i] ?? 0), 0);
  const distances = embeddings.flatMap((one, i) =>
    embeddings.slice(i + 1).map((other) => {
      const lengths = Math.sqrt(dot(one, one) * dot(other, other));
      return lengths === 0 ? 1 : 1 - dot(one, other) / lengths;
    }),
  );
  return distances.reduce((sum, value) => sum + value, 0) / distances.length;
}
