import { interval95, meanOf, type Interval } from "./percentiles.js";

/** Figures of a whole classifier, in the order of their columns. */
const scalarNames = [
  "accuracy",
  "balancedAccuracy",
  "macroF1",
  "logLoss",
  "expectedCalibrationError",
] as const;
export type ScalarName = (typeof scalarNames)[number];
const calibrationColumn = scalarNames.indexOf("expectedCalibrationError");
const lossColumn = scalarNames.indexOf("logLoss");

export interface FigureIntervals extends Readonly<Record<ScalarName, Interval>> {
  /** Null if the figure exists in no draw. */
  readonly perClass: readonly {
    readonly precision: Interval | null;
    readonly recall: Interval | null;
  }[];
}

/** The figures of bootstrap draws: columns as `figureColumns` gives them, one row a draw. */
export class FigureDraws {
  readonly #classCount: number;
  /** One array a column. */
  readonly #columns: readonly Float64Array[];

  constructor(draws: number, classCount: number) {
    this.#classCount = classCount;
    const count = scalarNames.length + 2 * classCount;
    this.#columns = Array.from({ length: count }, () => new Float64Array(draws));
  }

  set(draw: number, columns: Float64Array): void {
    for (const [index, column] of this.#columns.entries()) column[draw] = columns[index] as number;
  }

  /** The mean of each column over the draws in which its figure exists. */
  means(): Float64Array {
    return Float64Array.from(this.#columns, meanOf);
  }

  /**
   * Adds to each column what `by` has for it (nothing where that is not a number), in the figure's range.
   */
  move(by: Float64Array): void {
    for (const [index, column] of this.#columns.entries()) {
      const step = by[index] as number;
      if (Number.isNaN(step)) continue;
      for (const [draw, value] of column.entries()) column[draw] = inRange(index, value + step);
    }
  }

  /**
   * Moves the drawn calibration errors so that their mean is that of all images: images that are drawn twice make the error
   * larger, whatever the classifier.
   */
  centreCalibration(all: Float64Array): void {
    const by = new Float64Array(this.#columns.length).fill(NaN);
    by[calibrationColumn] = (all[calibrationColumn] as number) - (this.means()[calibrationColumn] as number);
    this.move(by);
  }

  /** Replaces each value by `centre` + `factor` · (value − `from`), in the figure's range. All but `factor` are columns. */
  rescale(from: Float64Array, factor: number, centre: Float64Array): void {
    for (const [index, column] of this.#columns.entries()) {
      const [own, wanted] = [from[index] as number, centre[index] as number];
      if (Number.isNaN(own) || Number.isNaN(wanted)) continue;
      for (const [draw, value] of column.entries())
        column[draw] = inRange(index, wanted + factor * (value - own));
    }
  }

  /** Percentile intervals. */
  intervals(): FigureIntervals {
    const at = (index: number) => interval95(this.#columns[index] as Float64Array);
    const first = scalarNames.length;
    return {
      ...scalarsOf((_, column) => at(column) ?? ([NaN, NaN] as const)),
      perClass: Array.from({ length: this.#classCount }, (_, index) => ({
        precision: at(first + index),
        recall: at(first + this.#classCount + index),
      })),
    };
  }

  /** The drawn values of every scalar figure. */
  scalars(): Record<ScalarName, Float64Array> {
    return scalarsOf((_, column) => this.#columns[column] as Float64Array);
  }
}

/** A rate is from 0 to 1, a log loss 0 or more. */
function inRange(column: number, value: number): number {
  return Math.min(column === lossColumn ? Infinity : 1, Math.max(0, value));
}

export function scalarsOf<T>(valueOf: (name: ScalarName, column: number) => T): Record<ScalarName, T> {
  return Object.fromEntries(scalarNames.map((name, column) => [name, valueOf(name, column)])) as Record<
    ScalarName,
    T
  >;
}
