import type { LayerNode } from "./layers-topology.js";
import type { LayersWeight } from "./layers-weights.js";

/** A layer with its weights. */
export interface BoundLayer extends LayerNode {
  /** By the weight's own name: kernel, bias, gamma, … */
  readonly weights: ReadonlyMap<string, LayersWeight>;
}
