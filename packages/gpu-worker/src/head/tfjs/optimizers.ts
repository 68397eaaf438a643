import type { StepOptimizerRecipe } from "@trommel/common";
import type { OptimizerState } from "../head-learner.js";
import { isBias } from "../model/head-model.js";
import { NadamMomentum } from "../nadam-momentum.js";

/**
 * Updates a head's weights in place. It works on plain arrays because a head is small: with operations of TensorFlow.js an
 * update would cost more than the forward and backward pass. Weight decay is an L2 penalty in all of them but AdamW, as `weight_decay`
 * in PyTorch, MXNet and MindSpore: the decay times the weight is added to the gradient, also for biases.
 */
export interface Optimizer {
  /** One step along the gradients, which must be given for every weight. */
  apply(
    weights: ReadonlyMap<string, Float32Array>,
    gradients: Readonly<Record<string, Float32Array>>,
    learningRate: number,
  ): void;

  /** The state itself, not a copy: later steps write to its moments. */
  readonly state: OptimizerState;
}

/** @param state the state of an optimiser of the same recipe to continue from; it is used, not copied */
export function createOptimizer(recipe: StepOptimizerRecipe, state?: OptimizerState): Optimizer {
  switch (recipe.type) {
    case "adam":
      return new Adam(recipe, state);
    case "adamw":
      return new AdamW(recipe, state);
    case "nadam":
      return new Nadam(recipe, state);
    case "sgd":
      return new Sgd(recipe, state);
  }
}

/** The recipe of an optimiser, and the step and the moments from which another of its kind can continue. */
abstract class WeightOptimizer<Recipe> implements Optimizer {
  protected readonly recipe: Recipe;
  protected readonly moments: Moments;
  /** The number of the current step, from 1. */
  protected step: number;

  constructor(recipe: Recipe, state?: OptimizerState) {
    this.recipe = recipe;
    this.moments = new Moments(state);
    this.step = state?.step ?? 0;
  }

  get state(): OptimizerState {
    return { step: this.step, moments: this.moments.all };
  }

  abstract apply(...step: Parameters<Optimizer["apply"]>): void;
}

/** An optimiser's moments of each weight, initially zero. */
class Moments {
  readonly #arrays: Map<string, Float32Array>;

  constructor(state: OptimizerState | undefined) {
    this.#arrays = new Map(state?.moments);
  }

  get all(): ReadonlyMap<string, Float32Array> {
    return this.#arrays;
  }

  of(kind: "first" | "second" | "velocity", weight: string, length: number): Float32Array {
    const name = `${kind}/${weight}`;
    let moment = this.#arrays.get(name);
    if (moment === undefined) {
      moment = new Float32Array(length);
      this.#arrays.set(name, moment);
    }
    return moment;
  }
}

type SgdRecipe = Extract<StepOptimizerRecipe, { type: "sgd" }>;

/**
 * Stochastic gradient descent with momentum as PyTorch and MindSpore compute it: v = momentum · v + g, w −= rate · v; with
 * Nesterov's form w −= rate · (g + momentum · v). Keras puts the rate into v instead (v = momentum · v − rate · g),
 * which differs when the rate changes: an old step keeps its old rate.
 */
class Sgd extends WeightOptimizer<SgdRecipe> {
  apply(
    weights: ReadonlyMap<string, Float32Array>,
    gradients: Readonly<Record<string, Float32Array>>,
    learningRate: number,
  ): void {
    this.step += 1;
    const { momentum, nesterov, weightDecay } = this.recipe;
    for (const [name, weight] of weights) {
      const gradient = gradients[name] as Float32Array;
      const velocity = this.moments.of("velocity", name, weight.length);
      for (let i = 0; i < weight.length; i += 1) {
        const slope = (gradient[i] as number) + weightDecay * (weight[i] as number);
        const v = momentum * (velocity[i] as number) + slope;
        velocity[i] = v;
        weight[i] = (weight[i] as number) - learningRate * (nesterov ? slope + momentum * v : v);
      }
    }
  }
}

type AdamRecipe = Extract<StepOptimizerRecipe, { type: "adam" }>;

/**
 * Adam (Kingma & Ba 2015) as Keras computes it: the step size is learningRate · √(1 − β₂ᵗ) / (1 − β₁ᵗ), and epsilon is added
 * to √v without correction (PyTorch adds it to the corrected root, which makes it larger by 1 / √(1 − β₂ᵗ)).
 */
class Adam extends WeightOptimizer<AdamRecipe> {
  apply(
    weights: ReadonlyMap<string, Float32Array>,
    gradients: Readonly<Record<string, Float32Array>>,
    learningRate: number,
  ): void {
    this.step += 1;
    const { beta1, beta2, epsilon, weightDecay } = this.recipe;
    const stepSize = (learningRate * Math.sqrt(1 - beta2 ** this.step)) / (1 - beta1 ** this.step);
    for (const [name, weight] of weights) {
      const gradient = gradients[name] as Float32Array;
      const first = this.moments.of("first", name, weight.length);
      const second = this.moments.of("second", name, weight.length);
      for (let i = 0; i < weight.length; i += 1) {
        const slope = (gradient[i] as number) + weightDecay * (weight[i] as number);
        const m = beta1 * (first[i] as number) + (1 - beta1) * slope;
        const v = beta2 * (second[i] as number) + (1 - beta2) * slope * slope;
        first[i] = m;
        second[i] = v;
        weight[i] = (weight[i] as number) - (stepSize * m) / (Math.sqrt(v) + epsilon);
      }
    }
  }
}

type AdamWRecipe = Extract<StepOptimizerRecipe, { type: "adamw" }>;

/**
 * AdamW (Loshchilov & Hutter 2019, algorithm 2) as PyTorch computes it, with both moments divided by (1 − β): the decay takes
 * learningRate · weightDecay of a kernel off itself before the step, and epsilon is added to the corrected root. Biases
 * do not decay.
 */
class AdamW extends WeightOptimizer<AdamWRecipe> {
  apply(
    weights: ReadonlyMap<string, Float32Array>,
    gradients: Readonly<Record<string, Float32Array>>,
    learningRate: number,
  ): void {
    this.step += 1;
    const { beta1, beta2, epsilon, weightDecay } = this.recipe;
    const firstShare = (1 - beta1) / (1 - beta1 ** this.step);
    const secondShare = (1 - beta2) / (1 - beta2 ** this.step);
    for (const [name, weight] of weights) {
      const gradient = gradients[name] as Float32Array;
      const first = this.moments.of("first", name, weight.length);
      const second = this.moments.of("second", name, weight.length);
      const kept = isBias(name) ? 1 : 1 - learningRate * weightDecay;
      for (let i = 0; i < weight.length; i += 1) {
        const slope = gradient[i] as number;
        const m = beta1 * (first[i] as number) + slope;
        const v = beta2 * (second[i] as number) + slope * slope;
        first[i] = m;
        second[i] = v;
        const change = (learningRate * firstShare * m) / (Math.sqrt(secondShare * v) + epsilon);
        weight[i] = kept * (weight[i] as number) - change;
      }
    }
  }
}

type NadamRecipe = Extract<StepOptimizerRecipe, { type: "nadam" }>;

/**
 * Nadam (Dozat 2016) as `keras.optimizers.Nadam` of Keras 2.2 computes it; `torch.optim.NAdam` has the same formula with
 * the schedule decay as `momentum_decay`, but in PyTorch 1.13 counts μ(t) twice in M(t+1). The momentum is warmed up:
 *
 *     μ(t) = β₁ · (1 − ½ · 0.96^(t · scheduleDecay)),   M(t) = μ(1) · … · μ(t)
 *     w −= learningRate · ((1 − μ(t)) · g / (1 − M(t)) + μ(t+1) · m / (1 − M(t+1))) / (√(v / (1 − β₂ᵗ)) + ε)
 */
class Nadam extends WeightOptimizer<NadamRecipe> {
  readonly #momentum: NadamMomentum;

  constructor(recipe: NadamRecipe, state?: OptimizerState) {
    super(recipe, state);
    this.#momentum = new NadamMomentum(recipe, this.step);
  }

  apply(
    weights: ReadonlyMap<string, Float32Array>,
    gradients: Readonly<Record<string, Float32Array>>,
    learningRate: number,
  ): void {
    this.step += 1;
    const { gradientShare, momentShare } = this.#momentum.next();
    const { beta1, beta2, epsilon, weightDecay } = this.recipe;
    const gradientStep = learningRate * gradientShare;
    const momentStep = learningRate * momentShare;
    const correction = 1 / (1 - beta2 ** this.step);
    for (const [name, weight] of weights) {
      const gradient = gradients[name] as Float32Array;
      const first = this.moments.of("first", name, weight.length);
      const second = this.moments.of("second", name, weight.length);
      for (let i = 0; i < weight.length; i += 1) {
        const slope = (gradient[i] as number) + weightDecay * (weight[i] as number);
        const m = beta1 * (first[i] as number) + (1 - beta1) * slope;
        const v = beta2 * (second[i] as number) + (1 - beta2) * slope * slope;
        first[i] = m;
        second[i] = v;
        const change = (gradientStep * slope + momentStep * m) / (Math.sqrt(v * correction) + epsilon);
        weight[i] = (weight[i] as number) - change;
      }
    }
  }
}
