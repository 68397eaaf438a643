import type { GraphBuilder } from "../../graph/graph-builder.js";

/**
 * Keeps the second computation of a value apart from the first. The runtime merges nodes of equal inputs, and would keep the first
 * one's output. So a small operand of each second node passes through a choice between itself and itself, made by the gradient
 * that is then known: the same numbers, but nothing that the runtime could know before.
 */
export class LaterNodes {
  readonly #graph: GraphBuilder;
  #gradient: string | undefined;
  #condition: string | undefined;
  readonly #late = new Map<string, string>();

  constructor(graph: GraphBuilder) {
    this.#graph = graph;
  }

  /** @param gradient the value that nodes from here on wait for */
  waitFor(gradient: string | undefined): void {
    this.#gradient = gradient;
    this.#condition = undefined;
    this.#late.clear();
  }

  /** @param name of a value that is small, since it is copied */
  late(name: string): string {
    const known = this.#late.get(name);
    if (known !== undefined) return known;
    const late = this.#graph.node("Where", [this.#known(), name, name]);
    this.#late.set(name, late);
    return late;
  }

  /** A view of a value that nothing copies. */
  view(name: string, shape: readonly number[]): string {
    return this.#graph.node("Reshape", [name, this.late(this.#graph.int64s(shape))]);
  }

  #known(): string {
    if (this.#condition === undefined) {
      const graph = this.#graph;
      const flat = graph.reshape(this.#gradient ?? "", [-1]);
      const first = graph.node("Slice", [flat, graph.int64s([0]), graph.int64s([1])]);
      this.#condition = graph.node("Equal", [first, first]);
    }
    return this.#condition;
  }
}
