/** Steps taken and moments kept: with the weights, all that an optimiser needs to go on. */
export interface OptimizerState {
  readonly step: number;
  /** By `<kind>/<weight>`, each in its weight's length. */
  readonly moments: ReadonlyMap<string, Float32Array>;
}

/**
 * Updates a head's weights in place. On plain arrays, for a head is small: as operations of TensorFlow.js an update
 * would cost more than the forward and backward pass. Weight decay is an L2 penalty in all of them, as `weight_decay` is in
 * PyTorch, MXNet and MindSpore: the decay times the weight is added to the gradient, of biases too.
 */
export interface Optimizer {
  /** One step down the gradients, which are there for every weight. */
  apply(
    weights: ReadonlyMap<string, Float32Array>,
    gradients: Readonly<Record<string, Float32Array>>,
    learningRate: number,
  ): void;

  /** The state itself, not a copy: later steps write to its moments. */
  readonly state: OptimizerState;
}
