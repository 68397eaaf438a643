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
  return {
    images: of.images,
    accuracy: estimateOf(of.accuracy, intervals.accuracy),
    balancedAccuracy: estimateOf(of.balancedAccuracy, intervals.balancedAccuracy),
    macroF1: estimateOf(of.macroF1, intervals.macroF1),
    logLoss: estimateOf(of.logLoss, intervals.logLoss),
    expectedCalibrationError: estimateOf(of.expectedCalibrationError, intervals.expectedCalibrationError),
    perClass: of.perClass.map(({ support, precision, recall }, index) => ({
      label: classNames[index] ?? "",
      support,
      precision: estimateIf(precision, intervals.perClass[index]?.precision),
      recall: estimateIf(recall, intervals.perClass[index]?.recall),
    })),
    confusion: of.confusion.map((row) => [...row]),
    reliability: of.reliability.map(({ count, confidence, accuracy }) => ({
      images: count,
      confidence,
      accuracy,
    })),
  };
}

function estimateOf(value: number, [low, high]: Interval): Estimate {
  return { value, low, high };
}

function estimateIf(value: number | null, interval: Interval | null | undefined): Estimate | null {
  return value === null || interval === null || interval === undefined ? null : estimateOf(value, interval);
}
