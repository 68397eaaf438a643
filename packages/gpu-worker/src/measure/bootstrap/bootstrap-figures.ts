import { checkPredictions } from "../check-predictions.js";
import { numberGroups } from "../groups.js";
import { predictionRows, predictionsOf, type Predictions } from "../predictions.js";
import { rowsOf } from "../rows-of.js";
import { defaultDraws, drawCounts } from "./draw-counts.js";
import { FigureDraws, scalarsOf, type FigureIntervals, type ScalarName } from "./drawn-figures.js";
import { figureColumns } from "./figure-columns.js";
import { defaultMostGroups, sampleGroups } from "./sample-groups.js";
import { interval95, type Interval } from "./percentiles.js";

export interface BootstrapOptions {
  /** @default 1000 */
  readonly draws?: number;
  readonly seed: number;
  /** The group of each image: images of one group are drawn together. @default every image is its own group */
  readonly groupOf?: Int32Array;
  /**
   * If there are more groups than this, draws are made from a seeded sample of as many; what they deviate by from the sample's figures
   * is divided by √(groups / sample) and added to the figures of all.
   * @default 20,000
   */
  readonly mostGroups?: number;
}

export interface BootstrappedFigures {
  readonly intervals: FigureIntervals;
  /** The values behind the intervals, one a draw. */
  readonly drawn: Readonly<Record<ScalarName, Float64Array>>;
}

/**
 * 95 % intervals of the figures of fixed predictions, on a test part or a labelled set that the classifier has not seen:
 * percentiles over draws of the images (or groups) with replacement. Drawn calibration errors are moved so that their mean
 * is the error of all images, since images that are drawn twice make it larger.
 * @param probabilities [images, classCount]
 * @throws TrommelError as `figures` does
 */
export function bootstrapFigures(
  probabilities: Float64Array,
  labels: Int32Array,
  classCount: number,
  options: BootstrapOptions,
): BootstrappedFigures {
  checkPredictions(probabilities, labels, classCount);
  return bootstrapPredictions(predictionsOf(probabilities, labels, classCount), options);
}

/** The same of predictions without all their probabilities: of at least one image. */
export function bootstrapPredictions(
  predictions: Predictions,
  options: BootstrapOptions,
): BootstrappedFigures {
  const drawn = drawFigures(predictions, options);
  return { intervals: drawn.intervals(), drawn: drawn.scalars() };
}

/**
 * 95 % intervals of what a second classifier's figures are above the first's on the same images, which are drawn for both at
 * once.
 * @param first probabilities [images, classCount], as is `second`
 * @throws TrommelError as `figures` does
 */
export function bootstrapDifference(
  first: Float64Array,
  second: Float64Array,
  labels: Int32Array,
  classCount: number,
  options: BootstrapOptions,
): Readonly<Record<ScalarName, Interval>> {
  const one = bootstrapFigures(first, labels, classCount, options).drawn;
  const other = bootstrapFigures(second, labels, classCount, options).drawn;
  return intervalsOfDifference(one, other);
}

/** 95 % intervals of what the second's drawn figures are above the first's, draw by draw. */
export function intervalsOfDifference(
  first: BootstrappedFigures["drawn"],
  second: BootstrappedFigures["drawn"],
): Record<ScalarName, Interval> {
  return scalarsOf((name) => {
    return interval95(second[name].map((value, draw) => value - (first[name][draw] as number))) ?? [NaN, NaN];
  });
}

function drawFigures(predictions: Predictions, options: BootstrapOptions): FigureDraws {
  const { draws = defaultDraws, seed, groupOf, mostGroups = defaultMostGroups } = options;
  const groups = numberGroups(predictions.labels.length, groupOf);
  const rows = sampleGroups(groups, mostGroups, seed);
  if (rows !== undefined) {
    const sample = predictionRows(predictions, rows);
    const drawn = drawFigures(sample, { ...options, groupOf: rowsOf(groups.of, rows) });
    drawn.rescale(figureColumns(sample), Math.sqrt(mostGroups / groups.count), figureColumns(predictions));
    return drawn;
  }
  const drawn = new FigureDraws(draws, predictions.classCount);
  for (let draw = 0; draw < draws; draw += 1) {
    drawn.set(draw, figureColumns(predictions, drawCounts(groups, seed, draw)));
  }
  drawn.centreCalibration(figureColumns(predictions));
  return drawn;
}
