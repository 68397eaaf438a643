import type { Novelty } from "@trommel/common";

/**
 * The distance of every row by a run's novelty statistics: what the serving graph computes, in float64.
 * @param features standardised, [rows, dimension]
 */
export function noveltyDistances(novelty: Novelty, features: Float32Array): Float64Array {
  const { dimension, used, mean, directions, offsets, coupling, minor } = novelty;
  const rows = features.length / dimension;
  return Float64Array.from({ length: rows }, (_, row) => {
    const centred = Float64Array.from(
      used,
      (feature, at) => (features[row * dimension + feature] as number) - (mean[at] as number),
    );
    const scores = projected(centred, directions);
    const coupled = projected(scores, coupling);
    let nearest = Infinity;
    let distance = 0;
    for (const [k, score] of scores.entries()) {
      nearest = Math.min(nearest, (offsets[k] as number) - score);
      distance += score * (coupled[k] as number);
    }
    for (const part of projected(centred, minor)) distance += part * part;
    return nearest + distance;
  });
}

/** How novel every row is: what the serving graph's second output is. @param features standardised, [rows, dimension] */
export function noveltyOf(novelty: Novelty, features: Float32Array): Float32Array {
  return Float32Array.from(noveltyPercentiles(novelty, noveltyDistances(novelty, features)));
}

/** Distances as shares of the training images that are less novel: linear between the quantiles, 0 and 1 outside of them. */
export function noveltyPercentiles({ quantiles }: Novelty, distances: Float64Array): Float64Array {
  const steps = quantiles.length - 1;
  const lengths = stepLengths(quantiles);
  return distances.map((distance) => {
    let sum = 0;
    for (let step = 0; step < steps; step += 1) {
      const share = (distance - (quantiles[step] as number)) / (lengths[step] as number);
      sum += Math.min(1, Math.max(0, share));
    }
    return sum / steps;
  });
}

/** What lies between quantiles; a step between equal ones is made as long as float32 can tell. */
export function stepLengths(quantiles: Float32Array): Float32Array {
  return Float32Array.from({ length: quantiles.length - 1 }, (_, step) => {
    const [low, high] = [quantiles[step] as number, quantiles[step + 1] as number];
    return Math.max(high - low, 1e-6 * Math.max(1, Math.abs(low)));
  });
}

/** row · matrix. @param matrix [row.length, columns] */
function projected(row: Float64Array, matrix: Float32Array): Float64Array {
  const columns = matrix.length / row.length;
  const result = new Float64Array(columns);
  for (let i = 0, at = 0; i < row.length; i += 1) {
    for (let column = 0; column < columns; column += 1, at += 1) {
      result[column] = (result[column] as number) + (row[i] as number) * (matrix[at] as number);
    }
  }
  return result;
}
