import type { NamedTensor } from "@trommel/common";
import { momentKinds, momentScale, type MomentKind } from "../../head/compiled/emit-optimizer.js";
import { createOptimizer, type Optimizer } from "../../head/tfjs/optimizers.js";
import { stateNames, tunedTensors, type TunedTensor } from "./tuned-tensors.js";
import type { TuningSetting, TuningState } from "./tuner.js";
import { stateValues } from "./tuning-state.js";

/** Weights that share a rate and a decay. */
interface WeightGroup {
  readonly factor: number;
  readonly weights: ReadonlyMap<string, Float32Array>;
  readonly optimizer: Optimizer;
}

/** A moment as the optimiser here has it, and as a state has it: divided by the scale. */
interface ScaledMoment {
  readonly own: Float32Array;
  readonly stored: Float32Array;
  readonly scale: number;
}

/** What a step measured, in plain arrays. */
export interface Slopes {
  /** By weight. */
  readonly gradients: Readonly<Record<string, Float32Array>>;
  /** What the batch normalisations measured, by running statistic. */
  readonly measured: ReadonlyMap<string, Float32Array>;
}

/** All that a tuning changes, in plain arrays, with the optimisers that train heads. */
export class TunedWeights {
  /** The tensors that have gradients. */
  readonly trained: readonly TunedTensor[];
  readonly #setting: TuningSetting;
  readonly #tensors: readonly TunedTensor[];
  /** As a state has them, by its names. Steps write to them. */
  readonly #values: ReadonlyMap<string, Float32Array>;
  readonly #scaled: ScaledMoment[] = [];
  readonly #groups: readonly WeightGroup[];
  #step: number;

  /** @throws TrommelError `corrupt` if the state is of another network or tuning */
  constructor(setting: TuningSetting, start: TuningState, dimension: number) {
    this.#setting = setting;
    this.#step = start.step;
    this.#tensors = tunedTensors(setting, dimension);
    this.trained = this.#tensors.filter(({ isMeasured }) => !isMeasured);
    this.#values = new Map(
      this.#tensors.flatMap((tensor) =>
        stateNames(setting, tensor).map(
          (name) => [name, stateValues(start, name, tensor.kerasShape).slice()] as const,
        ),
      ),
    );
    this.#groups = this.#weightGroups();
  }

  /** The array itself. @param name `<layer>/<weight>` */
  weight(name: string): Float32Array {
    return this.#valuesOf(`weights/${name}`);
  }

  /** One step of the optimiser, the running statistics and the averages. It scales the gradients where they are clipped. */
  step({ gradients, measured }: Slopes, learningRate: number): void {
    const { clipNorm, statisticsMomentum, averageDecay } = this.#setting;
    if (clipNorm !== null) clip(gradients, clipNorm);
    for (const { factor, weights, optimizer } of this.#groups) {
      optimizer.apply(weights, gradients, learningRate * factor);
    }
    // The next step starts from the stored moments, so that a checkpoint continues to the same bytes.
    for (const { own, stored, scale } of this.#scaled) {
      for (const [index, value] of own.entries()) {
        stored[index] = value / scale;
        own[index] = stored[index] * scale;
      }
    }
    for (const [name, values] of measured) approach(this.weight(name), values, statisticsMomentum);
    if (averageDecay !== null) {
      for (const { name } of this.trained) {
        approach(this.#valuesOf(`average/${name}`), this.weight(name), 1 - averageDecay);
      }
    }
    this.#step += 1;
  }

  state(): TuningState {
    const tensors = new Map<string, NamedTensor>();
    for (const tensor of this.#tensors) {
      for (const name of stateNames(this.#setting, tensor)) {
        tensors.set(name, { shape: tensor.kerasShape, data: this.#valuesOf(name).slice() });
      }
    }
    return { step: this.#step, tensors };
  }

  /** Only kernels decay: every other weight has an optimiser without decay. */
  #weightGroups(): readonly WeightGroup[] {
    const { optimizer, rateFactors } = this.#setting;
    const { trained } = this;
    const factorOf = ({ layer }: TunedTensor): number => rateFactors.get(layer) ?? 1;
    return [...new Set(trained.map(factorOf))].flatMap((factor) =>
      [true, false].map((isKernel) => {
        const own = trained.filter((tensor) => factorOf(tensor) === factor && tensor.isKernel === isKernel);
        const moments = own.flatMap(({ name }) =>
          momentKinds(optimizer).map((kind) => [`${kind}/${name}`, this.#moment(kind, name)] as const),
        );
        const recipe = isKernel ? optimizer : { ...optimizer, weightDecay: 0 };
        return {
          factor,
          weights: new Map(own.map(({ name }) => [name, this.weight(name)])),
          optimizer: createOptimizer(recipe, { step: this.#step, moments: new Map(moments) }),
        };
      }),
    );
  }

  #moment(kind: MomentKind, name: string): Float32Array {
    const stored = this.#valuesOf(`moments/${kind}/${name}`);
    const scale = momentScale(this.#setting.optimizer, kind);
    if (scale === 1) return stored;
    const own = stored.map((value) => value * scale);
    this.#scaled.push({ own, stored, scale });
    return own;
  }

  #valuesOf(name: string): Float32Array {
    return this.#values.get(name) as Float32Array;
  }
}

/** Scales gradients down together if their norm is above the bound (Pascanu et al. 2013). */
function clip(gradients: Readonly<Record<string, Float32Array>>, bound: number): void {
  let squares = 0;
  for (const gradient of Object.values(gradients)) for (const value of gradient) squares += value * value;
  const factor = Math.min(1, bound / (Math.sqrt(squares) + 1e-6));
  for (const gradient of Object.values(gradients)) {
    for (const [index, value] of gradient.entries()) gradient[index] = value * factor;
  }
}

function approach(values: Float32Array, target: Float32Array, share: number): void {
  for (const [index, value] of values.entries()) {
    values[index] = value + ((target[index] as number) - value) * share;
  }
}
