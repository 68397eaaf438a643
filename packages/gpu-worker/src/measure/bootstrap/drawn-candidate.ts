import type { Outcome } from "../choice/criterion.js";
import { predictedClasses } from "../classes.js";
import { hitsOf, type Predictions } from "../predictions.js";
import { largestProbabilities } from "../softmax.js";
import { temperatureOfRows } from "../temperature.js";
import { LossCurves } from "./loss-curves.js";
import type { OutOfFold } from "./loss-window.js";

/** A candidate's out-of-fold predictions, with what every draw needs of them computed once. */
export class DrawnCandidate {
  readonly data: OutOfFold;
  readonly curves: LossCurves;
  readonly predicted: Int32Array;
  readonly hits: Uint8Array;

  constructor(data: OutOfFold) {
    this.data = data;
    this.curves = new LossCurves(data);
    this.predicted = predictedClasses(data.logits, data.classCount);
    this.hits = hitsOf(this.predicted, data.labels);
  }

  /** The candidate with the temperatures that a draw's images give. */
  on(weights: Float64Array): FittedCandidate {
    return new FittedCandidate(this, weights);
  }
}

/** Temperatures and losses are computed when they are asked for: a choice by balanced accuracy needs neither. */
export class FittedCandidate implements Outcome {
  readonly #candidate: DrawnCandidate;
  readonly #weights: Float64Array;
  #temperatures: Float64Array | undefined;
  #losses: Float64Array | undefined;

  constructor(candidate: DrawnCandidate, weights: Float64Array) {
    this.#candidate = candidate;
    this.#weights = weights;
  }

  get predicted(): Int32Array {
    return this.#candidate.predicted;
  }

  get losses(): Float64Array {
    return (this.#losses ??= this.#candidate.curves.losses(this.#crossFitted()));
  }

  predictions(): Predictions {
    const { data, predicted, hits } = this.#candidate;
    const { logits, labels, classCount, foldOf } = data;
    const temperatures = temperatureOfRows(this.#crossFitted(), foldOf);
    const confidences = largestProbabilities(logits, classCount, temperatures);
    return { labels, classCount, predicted, hits, confidences, losses: this.losses };
  }

  /** One temperature a fold. */
  #crossFitted(): Float64Array {
    return (this.#temperatures ??= this.#candidate.curves.crossFitted(this.#weights));
  }
}
