import type { HeadRecipe } from "@trommel/common";
import { hiddenLayer, type HiddenLayer } from "../model/head-model.js";
import { NoiseGenerator } from "./noise-generator.js";

/** What the factors multiply: the features (for `se`, the gate's input), a hidden layer, or the gated features. */
export type FactorPlace = "features" | HiddenLayer | "gated";

/** A place where a head in training has factors, [rows, width]. */
export interface FactorShape {
  readonly place: FactorPlace;
  readonly width: number;
}

/** A matrix of factors, mean one, by which activations are multiplied in training. */
export interface FactorLayer extends FactorShape {
  /** Fills an array with the next factors. */
  readonly fill: (values: Float32Array) => void;
}

/**
 * The random factors of one epoch, drawn in order of use. `se`: Gaussian dropout N(1, √(r / (1 − r))) (Srivastava et al.
 * 2014, section 10) on the gate's input and ordinary dropout, scaled by 1 / (1 − r), on the gated features. `linear`: ordinary
 * dropout on the features. `mlp`: ordinary dropout on each hidden layer. A rate of zero has no factors.
 */
export function factorLayers(head: HeadRecipe, featureCount: number, seed: number): FactorLayer[] {
  const noise = new NoiseGenerator(seed);
  return factorPlaces(head, featureCount).map(({ place, width, rate, gaussian }) => {
    const deviation = Math.sqrt(rate / (1 - rate));
    const fill = (values: Float32Array) => {
      if (gaussian) noise.fillNormal(values, deviation);
      else noise.fillMask(values, rate);
    };
    return { place, width, fill };
  });
}

/** The places alone, in the same order. */
export function factorShapes(head: HeadRecipe, featureCount: number): readonly FactorShape[] {
  return factorPlaces(head, featureCount);
}

interface PlaceOfFactors extends FactorShape {
  readonly rate: number;
  readonly gaussian: boolean;
}

function factorPlaces(head: HeadRecipe, featureCount: number): PlaceOfFactors[] {
  return possiblePlaces(head, featureCount).filter(({ rate }) => rate > 0);
}

function possiblePlaces(head: HeadRecipe, featureCount: number): PlaceOfFactors[] {
  const rate = head.dropout;
  switch (head.type) {
    case "se":
      return [
        { place: "features", width: featureCount, rate, gaussian: true },
        { place: "gated", width: featureCount, rate: head.outputDropout, gaussian: false },
      ];
    case "linear":
      return [{ place: "features", width: featureCount, rate, gaussian: false }];
    case "mlp":
      return head.hidden.map((width, index) => ({ place: hiddenLayer(index), width, rate, gaussian: false }));
  }
}
