import { fitTemperature, temperatureBounds } from "../temperature.js";
import { LossWindow, type OutOfFold } from "./loss-window.js";

/** In units of log T. */
const windowWidth = 0.8;
const [least, most] = [Math.log(temperatureBounds.least), Math.log(temperatureBounds.most)];

/**
 * Every image's log loss as a piecewise polynomial of log T. A weighted sum of losses is then one too: the cross-fitted
 * temperatures of a bootstrap draw, and each image's loss at them, cost a few multiplications an image, and no exponential.
 * Losses differ from exact ones by less than 1e-5.
 *
 * Windows lie around the temperature of all images, where nearly all draws have theirs; the others are made when a draw
 * needs them.
 */
export class LossCurves {
  readonly #data: OutOfFold;
  /** log T of all images, in the middle of window 0. */
  readonly #centre: number;
  readonly #rowsOfFolds: readonly Int32Array[];
  readonly #windows = new Map<number, LossWindow>();

  constructor(data: OutOfFold) {
    this.#data = data;
    this.#centre = Math.log(fitTemperature(data.logits, data.labels, data.classCount));
    const rows = Int32Array.from(data.foldOf.keys());
    this.#rowsOfFolds = Array.from({ length: data.folds }, (_, fold) =>
      rows.filter((row) => data.foldOf[row] === fold),
    );
  }

  /** For each fold the temperature that minimises the weighted loss of all others and the prior, as `crossFittedTemperatures`. */
  crossFitted(weights: Float64Array): Float64Array {
    const { foldOf, folds } = this.#data;
    const totals = new Float64Array(folds);
    for (let row = 0; row < foldOf.length; row += 1) {
      totals[foldOf[row] as number] = (totals[foldOf[row] as number] as number) + (weights[row] as number);
    }
    const total = totals.reduce((sum, weight) => sum + weight, 0);
    const sums = new Map<number, Float64Array>();
    return Float64Array.from({ length: folds }, (_, fold) =>
      total === totals[fold] ? 1 : Math.exp(this.#leastWithout(fold, weights, sums)),
    );
  }

  /** Each image's loss at the temperature of its fold. */
  losses(temperatures: Float64Array): Float64Array {
    const losses = new Float64Array(this.#data.foldOf.length);
    for (const [fold, rows] of this.#rowsOfFolds.entries()) {
      const place = Math.log(temperatures[fold] as number);
      this.#window(Math.round((place - this.#centre) / windowWidth)).writeLosses(losses, rows, place);
    }
    return losses;
  }

  /** Goes from window to window as long as the loss falls. @param sums of folds, by window; filled as they are needed */
  #leastWithout(fold: number, weights: Float64Array, sums: Map<number, Float64Array>): number {
    let index = 0;
    for (let step = 0; ;) {
      const window = this.#window(index);
      const known = sums.get(index) ?? window.sumsOfFolds(weights);
      sums.set(index, known);
      const found = window.leastWithout(fold, known);
      const next = found === window.low ? -1 : found === window.high ? 1 : 0;
      if (next === 0 || next === -step || found === least || found === most) return found;
      index += next;
      step = next;
    }
  }

  #window(index: number): LossWindow {
    const middle = this.#centre + index * windowWidth;
    const known =
      this.#windows.get(index) ??
      new LossWindow(
        this.#data,
        Math.max(least, middle - windowWidth / 2),
        Math.min(most, middle + windowWidth / 2),
      );
    this.#windows.set(index, known);
    return known;
  }
}
