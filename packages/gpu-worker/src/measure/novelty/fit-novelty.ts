import { TrommelError, type Novelty } from "@trommel/common";
import type { Matrix64, MatrixProduct } from "../../linalg/matrix-product.js";
import { transposeInto } from "../../linalg/transpose.js";
import { quantile } from "../bootstrap/percentiles.js";
import { distanceParts } from "./distance-parts.js";
import { fitStatistics, type NoveltyStatistics } from "./fit-statistics.js";
import { combineMoments, momentsOfFold, type Moments, type NoveltyRows } from "./moments.js";

/** Time grows with the cube of the features that take part: of more than these, evenly spaced ones do. */
const mostFeatures = 1024;
/** Steps between quantiles. */
const quantileSteps = 256;
/** Standardised features have the variance 1; one with less than this hardly varies, and takes no part. */
const leastVariance = 1e-6;
/**
 * Parts of distances that deviate by less are rounding, such as those along a direction in which features depend on one another:
 * standardised features have the variance 1, and float32 holds them to 1e-6 or so, whose square is their energy.
 */
const leastDeviation = 1e-6;

export interface FittedNovelty {
  /** Statistics of all images, with percentiles of `distances`. */
  readonly novelty: Novelty;
  /** Out-of-fold distance of each image of a predicted fold, in their order, from statistics that have seen none of its fold. */
  readonly distances: Float64Array;
}

/** The two parts of the distance of each image of a predicted fold, by statistics that have seen none of its fold. */
export interface HeldOutParts {
  readonly relative: Float64Array;
  readonly minor: Float64Array;
}

/**
 * Fits the statistics of novelty on all images, and what its percentiles are taken of: the distance of every image itself
 * (view 0) by the statistics of the other folds. The two parts of a distance are divided by their standard deviations over these
 * out-of-fold distances, and added.
 * Time: per fold, and once for all, the products of the rows and one eigendecomposition of the features.
 * @param measured the parts of held-out images that others have measured, where these rows hold nothing out
 * @throws TrommelError `bad-dataset` when no feature varies
 */
export async function fitNovelty(
  input: NoveltyRows,
  product: MatrixProduct,
  measured?: HeldOutParts,
): Promise<FittedNovelty> {
  const fold = await foldedMoments(input, product);
  const { relative, minor } = measured ?? (await partsOfFolds(input, fold, product));
  const scales = { relative: scaleOf(relative), minor: scaleOf(minor) };
  const distances = relative.map(
    (part, place) => scales.relative * part + scales.minor * (minor[place] as number),
  );
  const statistics = await fitStatistics(fold.total, product);
  return {
    novelty: toNovelty(statistics, { scales, distances, used: fold.used, dimension: input.dimension }),
    distances,
  };
}

/**
 * What {@link fitNovelty} takes its percentiles of: in the order of the images of the predicted folds.
 * @throws TrommelError `bad-dataset` when no feature varies
 */
export async function heldOutParts(input: NoveltyRows, product: MatrixProduct): Promise<HeldOutParts> {
  return partsOfFolds(input, await foldedMoments(input, product), product);
}

interface FoldedMoments {
  readonly used: Int32Array;
  readonly ofFolds: readonly Moments[];
  readonly total: Moments;
}

async function foldedMoments(input: NoveltyRows, product: MatrixProduct): Promise<FoldedMoments> {
  const used = usedFeatures(input);
  const ofFolds: Moments[] = [];
  for (let fold = 0; fold < input.folds; fold += 1)
    ofFolds.push(await momentsOfFold(input, fold, used, product));
  const total = ofFolds.reduce((sum, moments) => combineMoments(sum, moments, 1));
  return { used, ofFolds, total };
}

async function partsOfFolds(
  input: NoveltyRows,
  { used, ofFolds, total }: FoldedMoments,
  product: MatrixProduct,
): Promise<HeldOutParts> {
  const predicted = input.predictedFolds ?? input.folds;
  const measured = Array.from(input.foldOf.keys()).filter(
    (image) => (input.foldOf[image] as number) < predicted,
  );
  const [relative, minor] = [new Float64Array(measured.length), new Float64Array(measured.length)];
  for (const [fold, moments] of ofFolds.slice(0, predicted).entries()) {
    const places = [...measured.keys()].filter((place) => input.foldOf[measured[place] as number] === fold);
    const own = places.map((place) => measured[place] as number);
    if (own.length === 0) continue;
    const statistics = await fitStatistics(combineMoments(total, moments, -1), product);
    const parts = await distanceParts(statistics, imageRows(input, own, used), product);
    for (const [at, place] of places.entries()) {
      relative[place] = parts.relative[at] as number;
      minor[place] = parts.minor[at] as number;
    }
  }
  return { relative, minor };
}

interface NoveltyParts {
  readonly scales: { readonly relative: number; readonly minor: number };
  readonly distances: Float64Array;
  readonly used: Int32Array;
  readonly dimension: number;
}

/** Puts the scales into the statistics: u = 2 · scale · directions, so that the distance needs no further factor. */
function toNovelty(
  { mean, directions, offsets, coupling, minor }: NoveltyStatistics,
  { scales, distances, used, dimension }: NoveltyParts,
): Novelty {
  const sorted = distances.toSorted();
  return {
    dimension,
    used,
    mean: Float32Array.from(mean),
    directions: columnsOf(directions, 2 * scales.relative),
    offsets: Float32Array.from(offsets, (offset) => scales.relative * offset),
    coupling: Float32Array.from(coupling.data, (value) => value / (4 * scales.relative)),
    minor: columnsOf(minor, Math.sqrt(scales.minor)),
    quantiles: Float32Array.from({ length: quantileSteps + 1 }, (_, step) =>
      quantile(sorted, step / quantileSteps),
    ),
  };
}

/** The transpose, times a factor. */
function columnsOf(matrix: Matrix64, factor: number): Float32Array {
  const columns = new Float64Array(matrix.data.length);
  transposeInto(matrix.data, matrix.columns, columns);
  return Float32Array.from(columns, (value) => factor * value);
}

/** The features that vary, and no more than `mostFeatures` of them. */
function usedFeatures({ rows, dimension }: NoveltyRows): Int32Array {
  const count = rows.length / dimension;
  const [sums, squares] = [new Float64Array(dimension), new Float64Array(dimension)];
  for (let row = 0, at = 0; row < count; row += 1) {
    for (let i = 0; i < dimension; i += 1, at += 1) {
      const value = rows[at] as number;
      sums[i] = (sums[i] as number) + value;
      squares[i] = (squares[i] as number) + value * value;
    }
  }
  const varying = Int32Array.from({ length: dimension }, (_, i) => i).filter((i) => {
    const mean = (sums[i] as number) / count;
    return (squares[i] as number) / count - mean * mean > leastVariance;
  });
  if (varying.length === 0) {
    throw new TrommelError(
      "bad-dataset",
      `cannot fit the novelty of images: all ${count} embeddings are the same. Check that the images differ and that the backbone's weights are right`,
      { context: { rows: count, dimension } },
    );
  }
  if (varying.length <= mostFeatures) return varying;
  return Int32Array.from(
    { length: mostFeatures },
    (_, i) => varying[Math.floor((i * varying.length) / mostFeatures)] as number,
  );
}

/** The used features of the images themselves. */
function imageRows(
  { rows, dimension, views }: NoveltyRows,
  images: readonly number[],
  used: Int32Array,
): Matrix64 {
  const data = new Float64Array(images.length * used.length);
  let to = 0;
  for (const image of images) {
    const from = image * views * dimension;
    for (const feature of used) data[to++] = rows[from + feature] as number;
  }
  return { rows: images.length, columns: used.length, data };
}

/** What divides a part of the distances by its standard deviation; 1 if all values are the same. */
function scaleOf(part: Float64Array): number {
  const mean = part.reduce((sum, value) => sum + value, 0) / part.length;
  const variance = part.reduce((sum, value) => sum + (value - mean) ** 2, 0) / part.length;
  return variance > 0 ? 1 / Math.max(leastDeviation, Math.sqrt(variance)) : 1;
}
