import type { OptimizerState } from "./optimizer.js";

/** An optimiser's memory of each weight, zero at first. */
export class Moments {
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
