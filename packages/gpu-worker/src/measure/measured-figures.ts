import type { Estimate, MeasuredFigures } from "@trommel/common/artefacts";
import type { FigureIntervals } from "./bootstrap/drawn-figures.js";
import type { Interval } from "./bootstrap/percentiles.js";
import type { Figures } from "./figures.js";

/** Figures with their 95 % intervals, as artefacts have them. */
export function measuredFigures(
  of: Figures,
  intervals: FigureIntervals,
  classNames: readonly string[],
): MeasuredFigures {
  const share = (value: number, interval: Interval): Estimate => shareOf(value, interval, of.images);
  return {
    images: of.images,
    accuracy: share(of.accuracy, intervals.accuracy),
    balancedAccuracy: share(of.balancedAccuracy, intervals.balancedAccuracy),
    macroF1: share(of.macroF1, intervals.macroF1),
    logLoss: estimateOf(of.logLoss, intervals.logLoss),
    expectedCalibrationError: estimateOf(of.expectedCalibrationError, intervals.expectedCalibrationError),
    perClass: of.perClass.map(({ support, precision, recall }, index) => ({
      label: classNames[index] ?? "",
      support,
      precision: shareIf(precision, intervals.perClass[index]?.precision, predictedAs(of, index)),
      recall: shareIf(recall, intervals.perClass[index]?.recall, support),
    })),
    confusion: of.confusion.map((row) => [...row]),
    reliability: of.reliability.map(({ count, confidence, accuracy }) => ({
      images: count,
      confidence,
      accuracy,
    })),
  };
}

/** Images that were predicted as this class. */
function predictedAs({ confusion }: Figures, index: number): number {
  return confusion.reduce((sum, row) => sum + (row[index] ?? 0), 0);
}

function estimateOf(value: number, [low, high]: Interval): Estimate {
  return { value, low, high };
}

/** Square of the normal distribution's 97.5th percentile. */
const squaredQuantile = 1.959963984540054 ** 2;

/**
 * A share of so many images. One that is 0 or 1 is that in every draw, which says nothing of how sure it is; its far end is Wilson's
 * (1927): of five images that are all right the true share may be 0.57.
 */
function shareOf(value: number, interval: Interval, images: number): Estimate {
  const [low, high] = interval;
  if (low !== high || images === 0) return estimateOf(value, interval);
  const width = squaredQuantile / (images + squaredQuantile);
  if (value === 1) return { value, low: 1 - width, high };
  return value === 0 ? { value, low, high: width } : estimateOf(value, interval);
}

function shareIf(
  value: number | null,
  interval: Interval | null | undefined,
  images: number,
): Estimate | null {
  return value === null || interval === null || interval === undefined
    ? null
    : shareOf(value, interval, images);
}
