import type { BoundLayer } from "../../backbone/layers/bound-layer.js";
import type { EdgePairs } from "../../backbone/layers/layer-config.js";
import type { FusedActivation } from "../tape/fused-activation.js";
import type { Tape, Weight } from "../tape/tape.js";
import type { Value } from "../values/value.js";

/** A layer's output, with zeros around it that no node has added yet. */
export interface Placed {
  readonly value: Value;
  readonly pads: EdgePairs;
}

/** What the operation of a layer reads and sets. */
export interface LayerContext {
  readonly tape: Tape;
  /** The only input, with pending zeros still pending. */
  rawInput(layer: BoundLayer): Placed;
  input(layer: BoundLayer): Value;
  inputs(layer: BoundLayer): readonly Value[];
  /** @param pads zeros around it, still pending */
  set(layer: BoundLayer, value: Value, pads?: EdgePairs): void;
  weight(layer: BoundLayer, name: string): Weight;
  optionalWeight(layer: BoundLayer, name: string): Weight | undefined;
  /**
   * Sets the value of an operation together with an activation: the layer's own one, or that of the layer that alone reads its
   * output. The operation applies one that can be fused; any other comes after it.
   */
  activated(layer: BoundLayer, operation: (activation: FusedActivation | undefined) => Value): void;
  /**
   * What a convolution adds to its channels for the batch normalisation that alone reads them: less the running mean, so that
   * batch statistics are taken next to zero. Undefined if something else follows.
   */
  shiftFor(layer: BoundLayer): string | undefined;
  normalize(layer: BoundLayer, input: Value): void;
}
