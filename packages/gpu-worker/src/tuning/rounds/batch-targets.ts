import { seedFrom, type ViewsRecipe } from "@trommel/common";
import type { TuneRecipe } from "@trommel/common/recipe";
import { drawMixture, mixInto } from "../../head/batches/mixup.js";
import { smoothedTargets } from "../../head/model/cross-entropy.js";
import { NoiseGenerator } from "../../head/noise/noise-generator.js";
import { drawView } from "../../image/views/view.js";
import type { TuningBatch } from "../engine/tuner.js";

/** What the batches of a run have in common. */
export interface BatchRecipe {
  readonly tune: Pick<TuneRecipe, "labelSmoothing" | "mixup" | "dropout">;
  readonly views: ViewsRecipe;
  readonly seed: number;
  readonly classCount: number;
  /** Length of the embedding. */
  readonly dimension: number;
  /** By class, one in the mean over the images of an epoch; undefined if all images weigh the same. */
  readonly classWeights: Float64Array | undefined;
}

export interface BatchImages {
  /** [B, side, side, 3] */
  readonly pixels: Uint8Array;
  readonly keys: readonly string[];
  readonly labels: Int32Array;
}

/**
 * A batch as the tuner takes it. The view of an image is that of the number of the epoch, from 1: the image itself is view 0, which
 * is measured and not trained on. What is drawn comes from (seed, epoch, number of the batch) and the images' keys.
 */
export function tuningBatch(
  recipe: BatchRecipe,
  images: BatchImages,
  at: { readonly epoch: number; readonly batch: number },
): TuningBatch {
  const { tune, seed, dimension } = recipe;
  const rows = images.labels.length;
  const mixture =
    tune.mixup > 0
      ? drawMixture(tune.mixup, seedFrom(seed, "tuning"), { ...at, step: at.batch, rows })
      : undefined;
  return {
    pixels: images.pixels,
    ...viewsOf(recipe, images.keys, at.epoch),
    ...targetsOf(recipe, images.labels, mixture),
    mix: mixture === undefined ? null : { partner: mixture.partners, share: mixture.share },
    dropout:
      tune.dropout === 0
        ? null
        : dropoutOf(rows * dimension, tune.dropout, seedFrom(seed, "tuning dropout", at.epoch, at.batch)),
  };
}

function viewsOf(
  { views, seed }: BatchRecipe,
  keys: readonly string[],
  epoch: number,
): Pick<TuningBatch, "affine" | "colour"> {
  const affine = new Float32Array(keys.length * 6);
  const colour = new Float32Array(keys.length * 12);
  for (const [row, key] of keys.entries()) {
    const view = drawView(views, seed, key, epoch);
    affine.set(view.affine, row * 6);
    colour.set(view.colour, row * 12);
  }
  return { affine, colour };
}

/**
 * The loss of a mixed row is share · weight · loss with its own label, and the rest · weight · loss with the other: the
 * cross-entropy with a mixed target, times a mixed weight.
 */
function targetsOf(
  { tune, classCount, classWeights }: BatchRecipe,
  labels: Int32Array,
  mixture: { readonly share: number; readonly partners: Int32Array } | undefined,
): Pick<TuningBatch, "targets" | "rowShares"> {
  const rows = labels.length;
  const weightOf = (row: number): number => classWeights?.[labels[row] as number] ?? 1;
  const own = smoothedTargets(labels, classCount, tune.labelSmoothing);
  const targets = Float32Array.from(own);
  const weights = Float64Array.from(labels, (_, row) => weightOf(row));
  for (let row = 0; mixture !== undefined && row < rows; row += 1) {
    const partner = mixture.partners[row] as number;
    const ownWeight = mixture.share * weightOf(row);
    weights[row] = ownWeight + (1 - mixture.share) * weightOf(partner);
    mixInto(
      targets.subarray(row * classCount, (row + 1) * classCount),
      own.subarray(row * classCount, (row + 1) * classCount),
      own.subarray(partner * classCount, (partner + 1) * classCount),
      ownWeight / (weights[row] as number),
    );
  }
  return { targets, rowShares: Float32Array.from(weights, (weight) => weight / rows) };
}

function dropoutOf(length: number, rate: number, seed: number): Float32Array {
  const factors = new Float32Array(length);
  new NoiseGenerator(seed).fillMask(factors, rate);
  return factors;
}
