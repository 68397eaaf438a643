import { TrommelError } from "@trommel/common";
import type { GraphBuilder } from "../../graph/graph-builder.js";
import { attributeProto, type AttributeValue } from "../../graph/onnx/onnx-values.js";

/**
 * A value of the network for the whole batch: [N, C, H, W] or [N, D]. Its name in ONNX's own order, in the runtime's blocked
 * layout [N, C / block, H, W, block], or in both; `Tape` converts when an operation asks for the other one.
 */
export class Value {
  readonly shape: readonly number[];
  /** Whether a weight that trains has a part in it. */
  readonly isTrained: boolean;
  plain: string | undefined;
  blocked: string | undefined;

  constructor(
    shape: readonly number[],
    isTrained: boolean,
    form: { readonly plain: string } | { readonly blocked: string },
  ) {
    this.shape = shape;
    this.isTrained = isTrained;
    if ("plain" in form) this.plain = form.plain;
    else this.blocked = form.blocked;
  }

  /** Pixels of a channel; 1 for [N, D]. */
  get pixels(): number {
    return this.shape.slice(2).reduce((product, size) => product * size, 1);
  }

  /** The same values, whose training is known from elsewhere. */
  asTrained(isTrained: boolean): Value {
    if (this.isTrained === isTrained) return this;
    const form = this.blocked === undefined ? { plain: this.plain ?? "" } : { blocked: this.blocked };
    return new Value(this.shape, isTrained, form);
  }

  get channels(): number {
    return this.shape[1] ?? 0;
  }
}

/** A tensor that the network's layers hold, in the order that their nodes need. */
export interface Weight {
  /** `<layer>/<weight>` */
  readonly name: string;
  readonly shape: readonly number[];
  /** Name in the graph: an input if it trains, otherwise a constant. */
  readonly value: string;
  readonly isTrained: boolean;
}

type Attributes = Readonly<Record<string, AttributeValue>>;

/** ONNX Runtime's own operators; those of the blocked layout are internal to the release that the lockfile pins. */
const runtimeDomain = "com.microsoft";
const blockedDomain = "com.microsoft.nchwc";

/**
 * Reverse-mode differentiation (Griewank & Walther 2008, chapter 3): an operation adds its nodes and records how a gradient of
 * its output becomes gradients of its inputs; `backward` calls these records in the opposite order.
 */
export class Tape {
  readonly graph: GraphBuilder;
  /** Images of every step. */
  readonly batch: number;
  /** Channels of a block of the runtime's blocked layout; 0 if the graph is plain ONNX. */
  readonly block: number;
  readonly #records: { readonly output: Value; readonly spread: (gradient: Value) => void }[] = [];
  readonly #gradients = new Map<Value, Value>();
  readonly #weightGradients = new Map<string, string>();
  #domainNodes = 0;

  constructor(graph: GraphBuilder, options: { readonly batch: number; readonly block: number }) {
    this.graph = graph;
    this.batch = options.batch;
    this.block = options.block;
  }

  /** @param spread adds the gradients of the inputs, from that of the output */
  record(output: Value, spread: (gradient: Value) => void): Value {
    if (output.isTrained) this.#records.push({ output, spread });
    return output;
  }

  addGradient(value: Value, gradient: Value): void {
    if (!value.isTrained) return;
    const before = this.#gradients.get(value);
    this.#gradients.set(value, before === undefined ? gradient : this.sum(before, gradient));
  }

  /** @param gradient in the weight's own shape */
  addWeightGradient(weight: Weight, gradient: string): void {
    if (!weight.isTrained) return;
    const before = this.#weightGradients.get(weight.name);
    const sum = before === undefined ? gradient : this.graph.node("Add", [before, gradient]);
    this.#weightGradients.set(weight.name, sum);
  }

  /** Gradients of every weight that trains, by its name, from that of one value. */
  backward(value: Value, gradient: Value): ReadonlyMap<string, string> {
    this.addGradient(value, gradient);
    for (const { output, spread } of this.#records.toReversed()) {
      const known = this.#gradients.get(output);
      if (known !== undefined) spread(known);
      this.#gradients.delete(output);
    }
    return this.#weightGradients;
  }

  /** The value's sum with another of the same shape, without a record. */
  sum(a: Value, b: Value): Value {
    return this.elementwise("Add", [a, b]);
  }

  /** A node that treats every element alike, in the layout that its inputs have; not recorded. */
  elementwise(opType: string, inputs: readonly Value[], attributes: Attributes = {}): Value {
    return this.mapped(inputs, (names) => this.graph.node(opType, names, attributes));
  }

  /** Nodes that treat every element alike. @param emit from the inputs' names to the output's */
  mapped(inputs: readonly Value[], emit: (names: readonly string[]) => string): Value {
    const [first] = inputs as readonly [Value];
    const isTrained = inputs.some((input) => input.isTrained);
    return inputs.some(({ blocked }) => blocked !== undefined) && this.canBlock(first)
      ? new Value(first.shape, isTrained, { blocked: emit(inputs.map((input) => this.blockedOf(input))) })
      : new Value(first.shape, isTrained, { plain: emit(inputs.map((input) => this.plainOf(input))) });
  }

  /** Whether a value may be in the blocked layout. */
  canBlock(value: Pick<Value, "shape">): boolean {
    const [, channels = 0] = value.shape;
    return value.shape.length === 4 && this.fitsBlocks(channels);
  }

  fitsBlocks(channels: number): boolean {
    return this.block > 0 && channels % this.block === 0;
  }

  plainOf(value: Value): string {
    value.plain ??= this.blockedNode("ReorderOutput", [this.#known(value.blocked)], {
      channels: value.channels,
    });
    return value.plain;
  }

  blockedOf(value: Value): string {
    value.blocked ??= this.blockedNode("ReorderInput", [this.#known(value.plain)]);
    return value.blocked;
  }

  /** A node of the blocked layout. */
  blockedNode(opType: string, inputs: readonly string[], attributes: Attributes = {}): string {
    return this.#domainNode(blockedDomain, opType, inputs, attributes);
  }

  /** A node of the runtime's own that takes ONNX's order. */
  runtimeNode(opType: string, inputs: readonly string[], attributes: Attributes = {}): string {
    return this.#domainNode(runtimeDomain, opType, inputs, attributes);
  }

  scalar(value: number): string {
    return this.graph.constant("scalar", "float32", [], Float32Array.of(value));
  }

  floats(hint: string, shape: readonly number[], values: ArrayLike<number>): string {
    return this.graph.constant(hint, "float32", shape, Float32Array.from(values));
  }

  transpose(value: string, perm: readonly number[]): string {
    return this.graph.node("Transpose", [value], { perm });
  }

  sumOver(value: string, axes: readonly number[], keepdims: 0 | 1 = 0): string {
    return this.graph.node("ReduceSum", [value, this.graph.int64s(axes)], { keepdims });
  }

  times(a: string, b: string): string {
    return this.graph.node("Mul", [a, b]);
  }

  #domainNode(domain: string, opType: string, inputs: readonly string[], attributes: Attributes): string {
    for (const input of inputs) {
      if (input !== "" && !this.graph.has(input))
        throw new TrommelError("internal", `cannot build a training step: ${opType} uses "${input}"`);
    }
    this.graph.importDomain(domain, 1);
    this.#domainNodes += 1;
    const name = `${opType}_of_runtime_${this.#domainNodes}`;
    this.graph.claim(name);
    const attribute = Object.entries(attributes).map(([key, value]) => attributeProto(key, value));
    this.graph.addNodes([{ input: [...inputs], output: [name], name, opType, domain, attribute }]);
    return name;
  }

  #known(name: string | undefined): string {
    if (name !== undefined) return name;
    throw new TrommelError("internal", "cannot build a training step: a value has no form");
  }
}
