import { mostLoss, unboundedLosses } from "../softmax.js";
import { temperaturePrior } from "../temperature.js";
import { chebyshevNodes, chebyshevPolynomials, minimumOf, nodesToCoefficients } from "./chebyshev.js";

const terms = 8;

/** Out-of-fold logits of one candidate. */
export interface OutOfFold {
  /** [images, classCount] */
  readonly logits: Float64Array;
  readonly labels: Int32Array;
  readonly classCount: number;
  readonly foldOf: Int32Array;
  readonly folds: number;
}

/** Every image's log loss as a Chebyshev series of log T between two bounds of log T. */
export class LossWindow {
  readonly low: number;
  readonly high: number;
  readonly #data: OutOfFold;
  /** [images, terms] */
  readonly #coefficients: Float64Array;
  /** The series of what the prior of a temperature adds, [terms] */
  readonly #prior = new Float64Array(terms);

  constructor(data: OutOfFold, low: number, high: number) {
    this.low = low;
    this.high = high;
    this.#data = data;
    this.#coefficients = this.#interpolate();
  }

  /** The series of each fold's weighted loss, [folds, terms]. */
  sumsOfFolds(weights: Float64Array): Float64Array {
    const { foldOf, folds } = this.#data;
    const coefficients = this.#coefficients;
    const sums = new Float64Array(folds * terms);
    for (let row = 0; row < foldOf.length; row += 1) {
      const weight = weights[row] as number;
      if (weight === 0) continue;
      const end = (row + 1) * terms;
      for (let at = row * terms, to = (foldOf[row] as number) * terms; at < end; at += 1, to += 1) {
        sums[to] = (sums[to] as number) + weight * (coefficients[at] as number);
      }
    }
    return sums;
  }

  /** The log T in this window at which the folds other than one have the least loss, with the prior. @param sums as of `sumsOfFolds` */
  leastWithout(fold: number, sums: Float64Array): number {
    const others = this.#prior.slice();
    for (let i = 0; i < sums.length; i += 1) {
      if (Math.floor(i / terms) === fold) continue;
      others[i % terms] = (others[i % terms] as number) + (sums[i] as number);
    }
    const place = minimumOf(others);
    if (Math.abs(place) === 1) return place < 0 ? this.low : this.high;
    return this.low + ((place + 1) / 2) * (this.high - this.low);
  }

  /** Writes the losses of some images at a log T of this window. */
  writeLosses(losses: Float64Array, rows: Int32Array, logTemperature: number): void {
    const place = (2 * (logTemperature - this.low)) / (this.high - this.low) - 1;
    const basis = chebyshevPolynomials(place, terms);
    const coefficients = this.#coefficients;
    for (const row of rows) {
      let loss = 0;
      for (let k = 0, at = row * terms; k < terms; k += 1, at += 1) {
        loss += (basis[k] as number) * (coefficients[at] as number);
      }
      losses[row] = Math.min(mostLoss, Math.max(0, loss));
    }
  }

  #interpolate(): Float64Array {
    const { logits, labels, classCount } = this.#data;
    const toCoefficients = nodesToCoefficients(terms);
    const coefficients = new Float64Array(labels.length * terms);
    for (const [node, place] of chebyshevNodes(terms).entries()) {
      const temperature = Math.exp(this.low + ((place + 1) / 2) * (this.high - this.low));
      const losses = unboundedLosses(logits, labels, classCount, temperature);
      const prior = temperaturePrior(temperature);
      for (let k = 0; k < terms; k += 1)
        this.#prior[k] = (this.#prior[k] as number) + (toCoefficients[k * terms + node] as number) * prior;
      for (let at = 0; at < coefficients.length; at += 1) {
        const factor = toCoefficients[(at % terms) * terms + node] as number;
        coefficients[at] = (coefficients[at] as number) + factor * (losses[Math.floor(at / terms)] as number);
      }
    }
    return coefficients;
  }
}
