import { TrommelError } from "@trommel/common";
import { addDomainNode } from "../../graph/domain-node.js";
import type { GraphBuilder } from "../../graph/graph-builder.js";
import type { AttributeValue } from "../../graph/onnx/onnx-values.js";
import { LaterNodes } from "../values/later-nodes.js";
import { MemoryLog } from "../values/memory-log.js";
import type { Recomputation } from "../values/recomputation.js";
import { Value } from "../values/value.js";

/** A tensor that the network's layers hold, in the order that their nodes need. */
export interface Weight {
  /** `<layer>/<weight>` */
  readonly name: string;
  readonly shape: readonly number[];
  /** Name in the graph: an input if it trains, otherwise a constant. */
  readonly value: string;
  readonly isTrained: boolean;
}

interface OperationRecord {
  readonly output: Value;
  readonly spread: (gradient: Value) => void;
  /** Undefined for an output that is kept. */
  readonly emit: (() => Value) | undefined;
}

/** Maps of an operation's output that its backward pass has in memory for itself. */
const ownPasses = 2;

/** ONNX's numbers of element types. */
const [float32, float16] = [1, 10];

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
  /** Whether products are computed in half precision. */
  readonly isMixed: boolean;
  readonly #recomputation: Recomputation;
  readonly #records: OperationRecord[] = [];
  readonly #gradients = new Map<Value, Value>();
  readonly #weightGradients = new Map<string, string>();
  /** Values that the backward pass does not compute again. */
  readonly #kept = new Set<Value>();
  readonly #passes = new Set<Value>();
  readonly #later: LaterNodes;
  readonly #memory = new MemoryLog();
  /** How deep second computations are nested. */
  #depth = 0;
  #isBackward = false;

  /** @param options.recomputation @default "nothing" */
  constructor(
    graph: GraphBuilder,
    options: {
      readonly batch: number;
      readonly block: number;
      readonly recomputation?: Recomputation;
      readonly isMixed?: boolean;
    },
  ) {
    this.graph = graph;
    this.batch = options.batch;
    this.block = options.block;
    this.#recomputation = options.recomputation ?? "nothing";
    this.#later = new LaterNodes(graph);
    this.isMixed = options.isMixed ?? false;
  }

  /** An output that is kept. @param spread adds the gradients of the inputs, from that of the output */
  record(output: Value, spread: (gradient: Value) => void): Value {
    if (output.isTrained) this.#records.push({ output, spread, emit: undefined });
    return output;
  }

  /** An output that may be computed again. @param emit computes it, from the inputs as they are then */
  computed(emit: () => Value, spread: (gradient: Value) => void): Value {
    const output = emit();
    if (output.isTrained) this.#records.push({ output, spread, emit });
    return output;
  }

  /** The same of one that a single pass over inputs that stay makes. */
  passed(emit: () => Value, spread: (gradient: Value) => void): Value {
    const output = this.computed(emit, spread);
    this.#passes.add(output);
    return output;
  }

  /** Whether the backward pass would compute a value again by a pass. */
  isPass(value: Value): boolean {
    return this.#passes.has(value);
  }

  /** A value between an operation's input and output. */
  between(emit: () => Value): Value {
    return this.computed(emit, () => undefined);
  }

  keep(value: Value): void {
    this.#kept.add(value);
  }

  /** Bytes of layers after which a value is kept at the next chance. */
  get segmentBytes(): number {
    return typeof this.#recomputation === "string"
      ? Number.POSITIVE_INFINITY
      : this.#recomputation.segmentBytes;
  }

  /** Bytes that the values and gradients of the backward pass take at the most. */
  get peakBytes(): number {
    return this.#memory.peakBytes();
  }

  /** A small operand of a node: computed again where the node is. */
  late(name: string): string {
    return this.#depth === 0 ? name : this.#later.late(name);
  }

  /** A view of a weight, of which more than a view may be computed again. */
  viewOf(weight: string, shape: readonly number[]): string {
    return this.#depth === 0 ? this.graph.reshape(weight, shape) : this.#later.view(weight, shape);
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
    for (const { output } of this.#records) this.#memory.add(output);
    this.#letGo();
    this.#isBackward = true;
    for (const { output, spread } of this.#records.toReversed()) {
      const known = this.#gradients.get(output);
      if (known === undefined) continue;
      this.#later.waitFor(known.isBlocked ? this.blockedOf(known) : this.plainOf(known));
      const waiting = [...this.#gradients.values()].reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
      this.#memory.begin(waiting + ownPasses * output.sizeBytes);
      spread(known);
      this.#gradients.delete(output);
    }
    return this.#weightGradients;
  }

  #letGo(): void {
    const which = this.#recomputation;
    if (which === "nothing") return;
    for (const { output, emit } of this.#records) {
      if (emit === undefined || this.#kept.has(output)) continue;
      if (which === "passes" && !this.#passes.has(output)) continue;
      output.letGo(() => this.#again(emit));
    }
  }

  #again(emit: () => Value): Value {
    this.#depth += 1;
    try {
      return emit();
    } finally {
      this.#depth -= 1;
    }
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
    if (!inputs.some(({ isBlocked }) => isBlocked) || !this.canBlock(first))
      return new Value(first.shape, isTrained, {
        plain: emit(inputs.map((input) => this.#operand(input, this.plainOf(input)))),
      });
    return new Value(first.shape, isTrained, {
      blocked: emit(inputs.map((input) => this.#operand(input, this.blockedOf(input)))),
    });
  }

  /** A value of the first computation, as the second one reads it. */
  #operand(value: Value, name: string): string {
    return this.#depth === 0 || value.isRecomputed ? name : this.#later.view(name, value.shape);
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
    if (this.#isBackward) this.#memory.read(value);
    return value.plain;
  }

  blockedOf(value: Value): string {
    value.blocked ??= this.blockedNode("ReorderInput", [this.#known(value.plain)]);
    if (this.#isBackward) this.#memory.read(value);
    return value.blocked;
  }

  /** A node of the blocked layout. */
  blockedNode(opType: string, inputs: readonly string[], attributes: Attributes = {}): string {
    return addDomainNode(this.graph, blockedDomain, opType, inputs, attributes);
  }

  /**
   * A convolution or product in ONNX's order, from float32 to float32: in float16 between if the step is of mixed precision
   * (Micikevicius et al. 2018, arXiv 1710.03740).
   */
  product(opType: string, operands: readonly string[], attributes: Attributes = {}): string {
    const isOfRuntime = opType === "FusedMatMul";
    const node = (inputs: readonly string[]): string =>
      isOfRuntime
        ? this.runtimeNode(opType, inputs, attributes)
        : this.graph.node(opType, inputs, attributes);
    if (!this.isMixed) return node(operands);
    const halves = operands.map((name) => this.graph.node("Cast", [name], { to: float16 }));
    return this.graph.node("Cast", [node(halves)], { to: float32 });
  }

  /** A node of the runtime's own that takes ONNX's order. */
  runtimeNode(opType: string, inputs: readonly string[], attributes: Attributes = {}): string {
    return addDomainNode(this.graph, runtimeDomain, opType, inputs, attributes);
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

  #known(name: string | undefined): string {
    if (name !== undefined) return name;
    throw new TrommelError("internal", "cannot build a training step: a value has no form");
  }
}
