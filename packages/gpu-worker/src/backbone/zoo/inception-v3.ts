import type { LayerStack, FeatureMap } from "./layer-stack.js";

/**
 * Inception v3 (Szegedy et al., 2015, https://arxiv.org/abs/1512.00567), as keras_applications builds it. Its layers
 * have automatic names, so the order in which branches are created here determines their numbers.
 */
export function stackInceptionV3(stack: LayerStack, input: FeatureMap): FeatureMap {
  const branches = new Branches(stack);
  let x = branches.unit(input, 32, 3, { strides: 2, padding: "valid" });
  x = branches.unit(x, 32, 3, { padding: "valid" });
  x = branches.unit(x, 64, 3);
  x = stack.maxPooling(x, { kernel: 3, strides: 2 });
  x = branches.unit(x, 80, 1, { padding: "valid" });
  x = branches.unit(x, 192, 3, { padding: "valid" });
  x = stack.maxPooling(x, { kernel: 3, strides: 2 });
  [32, 64, 64].forEach((pooled, index) => (x = branches.mixedA(x, pooled, `mixed${index}`)));
  x = branches.reductionA(x, "mixed3");
  [128, 160, 160, 192].forEach((narrow, index) => (x = branches.mixedB(x, narrow, `mixed${4 + index}`)));
  x = branches.reductionB(x, "mixed8");
  for (const index of [0, 1]) x = branches.mixedC(x, index);
  return x;
}

type Kernel = number | readonly [height: number, width: number];
const row: Kernel = [1, 7];
const column: Kernel = [7, 1];
const shrinking = { strides: 2, padding: "valid" } as const;

class Branches {
  readonly #stack: LayerStack;

  constructor(stack: LayerStack) {
    this.#stack = stack;
  }

  /** Convolution, normalisation without gamma, ReLU. */
  unit(
    input: FeatureMap,
    filters: number,
    kernel: Kernel,
    options: { readonly strides?: number; readonly padding?: "same" | "valid" } = {},
  ): FeatureMap {
    const x = this.#stack.convolution(input, { filters, kernel, padding: "same", ...options });
    return this.#stack.activation(this.#stack.normalization(x, { scale: false }), { activation: "relu" });
  }

  #units(input: FeatureMap, ...units: readonly (readonly [filters: number, kernel: Kernel])[]): FeatureMap {
    return units.reduce((x, [filters, kernel]) => this.unit(x, filters, kernel), input);
  }

  #averaged(input: FeatureMap, filters: number): FeatureMap {
    return this.unit(this.#stack.averagePooling(input, { kernel: 3, padding: "same" }), filters, 1);
  }

  mixedA(x: FeatureMap, pooled: number, name: string): FeatureMap {
    const one = this.unit(x, 64, 1);
    const five = this.#units(x, [48, 1], [64, 5]);
    const double = this.#units(x, [64, 1], [96, 3], [96, 3]);
    return this.#stack.concatenate([one, five, double, this.#averaged(x, pooled)], { name });
  }

  reductionA(x: FeatureMap, name: string): FeatureMap {
    const three = this.unit(x, 384, 3, shrinking);
    const double = this.unit(this.#units(x, [64, 1], [96, 3]), 96, 3, shrinking);
    return this.#stack.concatenate([three, double, this.#halved(x)], { name });
  }

  mixedB(x: FeatureMap, narrow: number, name: string): FeatureMap {
    const one = this.unit(x, 192, 1);
    const seven = this.#units(x, [narrow, 1], [narrow, row], [192, column]);
    const double = this.#units(x, [narrow, 1], [narrow, column], [narrow, row], [narrow, column], [192, row]);
    return this.#stack.concatenate([one, seven, double, this.#averaged(x, 192)], { name });
  }

  reductionB(x: FeatureMap, name: string): FeatureMap {
    const three = this.unit(this.unit(x, 192, 1), 320, 3, shrinking);
    const seven = this.unit(this.#units(x, [192, 1], [192, row], [192, column]), 192, 3, shrinking);
    return this.#stack.concatenate([three, seven, this.#halved(x)], { name });
  }

  mixedC(x: FeatureMap, index: number): FeatureMap {
    const one = this.unit(x, 320, 1);
    const three = this.#fork(this.unit(x, 384, 1), { name: `mixed9_${index}` });
    const double = this.#fork(this.#units(x, [448, 1], [384, 3]), {});
    const name = `mixed${9 + index}`;
    return this.#stack.concatenate([one, three, double, this.#averaged(x, 192)], { name });
  }

  #fork(x: FeatureMap, options: { readonly name?: string }): FeatureMap {
    return this.#stack.concatenate([this.unit(x, 384, [1, 3]), this.unit(x, 384, [3, 1])], options);
  }

  #halved(x: FeatureMap): FeatureMap {
    return this.#stack.maxPooling(x, { kernel: 3, strides: 2 });
  }
}
