import { TrommelError } from "@trommel/common";
import { encodeModel } from "./onnx/onnx-model.js";
import {
  attributeProto,
  tensorProto,
  valueInfoProto,
  type AttributeValue,
  type Dim,
  type TensorData,
} from "./onnx/onnx-values.js";
import {
  int64ToNumber,
  type ElementType,
  type FunctionProto,
  type GraphProto,
  type NodeProto,
  type SparseTensorProto,
  type TensorProto,
  type ValueInfoProto,
} from "./onnx/onnx-proto.js";

export interface GraphBuilderOptions {
  /** Version of the default operator domain. @default 17 */
  readonly opset?: number;
  /** @default "trommel" */
  readonly graphName?: string;
  /**
   * Added in front of the names of nodes and constants: in a graph inside another they must differ from the outer ones.
   * @default ""
   */
  readonly namePrefix?: string;
  /** The builder of the graph around this one; functions, operator domains and IR version belong to the whole model. */
  readonly within?: GraphBuilder;
}

/** The oldest IR version that may carry each opset (onnx/docs/Versioning.md). */
const irVersions: Readonly<Record<number, number>> = {
  16: 8,
  17: 8,
  18: 8,
  19: 9,
  20: 9,
  21: 10,
  22: 10,
  23: 11,
  24: 12,
};

/** Equal constants up to this size are shared; comparing whole weight tensors would cost more than it saves. */
const sharedConstantMaxBytes = 1024;

/**
 * Builds one ONNX model, node after node. Names consist of operator and count, so equal calls give equal bytes.
 * A node may only use existing values, which keeps the graph sorted and reports a misspelt name at the call that has it.
 */
export class GraphBuilder {
  readonly opset: number;
  readonly #graphName: string;
  readonly #namePrefix: string;
  readonly #within: GraphBuilder | undefined;
  #irVersion: number;
  readonly #domains = new Map<string, number>();
  readonly #names = new Set<string>();
  readonly #counts = new Map<string, number>();
  readonly #constants = new Map<string, string>();
  readonly #inputs: ValueInfoProto[] = [];
  readonly #outputs: ValueInfoProto[] = [];
  readonly #initializers: TensorProto[] = [];
  readonly #sparseInitializers: SparseTensorProto[] = [];
  readonly #nodes: NodeProto[] = [];
  readonly #functions: FunctionProto[] = [];

  constructor(options: GraphBuilderOptions = {}) {
    this.opset = options.opset ?? 17;
    this.#graphName = options.graphName ?? "trommel";
    this.#namePrefix = options.namePrefix ?? "";
    this.#within = options.within;
    const irVersion = irVersions[this.opset];
    if (irVersion === undefined) {
      const legal = Object.keys(irVersions).join(", ");
      throw new TrommelError(
        "unsupported",
        `cannot build an ONNX graph: opset ${this.opset} is unknown (legal: ${legal}). Export the model with one of these`,
      );
    }
    this.#irVersion = irVersion;
  }

  /** Declares a graph input. @returns its name */
  input(name: string, elementType: ElementType, shape: readonly Dim[]): string {
    this.claim(name);
    this.#inputs.push(valueInfoProto(name, elementType, shape));
    return name;
  }

  /**
   * Declares a graph output.
   * @param shape undefined leaves shape and rank to shape inference
   * @param source the value to output; if its name differs from the output's, an Identity connects them.
   *   @default the value called `name`
   */
  output(
    name: string,
    elementType: ElementType,
    shape: readonly Dim[] | undefined,
    source: string = name,
  ): void {
    this.#checkExists(source, "output");
    if (source !== name) {
      this.claim(name);
      this.#nodes.push({
        input: [source],
        output: [name],
        name: this.fresh("Identity"),
        opType: "Identity",
      });
    }
    this.#outputs.push(valueInfoProto(name, elementType, shape));
  }

  /** Adds a constant tensor, or reuses a small equal one. @returns its name, derived from `hint` */
  constant(hint: string, elementType: ElementType, dims: readonly number[], data: TensorData): string {
    const tensor = tensorProto(elementType, dims, data);
    const key = constantKey(tensor);
    const known = key === undefined ? undefined : this.#constants.get(key);
    if (known !== undefined) return known;
    const name = this.#freshAfter(hint);
    this.#initializers.push({ ...tensor, name });
    if (key !== undefined) this.#constants.set(key, name);
    return name;
  }

  /**
   * Adds a node of the default domain.
   * @param inputs existing names; "" leaves an optional input out
   * @returns the name of its output, or the list of names if `outputCount` is given
   */
  node(
    opType: string,
    inputs: readonly string[],
    attributes?: Readonly<Record<string, AttributeValue>>,
  ): string;
  node(
    opType: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, AttributeValue>>,
    outputCount: number,
  ): string[];
  node(
    opType: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, AttributeValue>> = {},
    outputCount?: number,
  ): string | string[] {
    for (const input of inputs) if (input !== "") this.#checkExists(input, opType);
    const name = this.fresh(opType);
    const outputs = Array.from({ length: outputCount ?? 1 }, (_, index) =>
      index === 0 ? name : `${name}_${index}`,
    );
    for (const output of outputs.slice(1)) this.claim(output);
    const attribute = Object.entries(attributes).map(([key, value]) => attributeProto(key, value));
    this.#nodes.push({ input: [...inputs], output: outputs, name, opType, attribute });
    return outputCount === undefined ? name : outputs;
  }

  /** Adds a constant of whole numbers, the form of shapes and indices. @returns its name */
  int64s(values: readonly number[]): string {
    return this.constant("int64s", "int64", [values.length], BigInt64Array.from(values, BigInt));
  }

  /** @param shape 0 keeps a dimension, -1 takes what is left, as in ONNX */
  reshape(value: string, shape: readonly number[]): string {
    return this.node("Reshape", [value, this.int64s(shape)]);
  }

  /** Reserves a value name. @throws TrommelError `internal` if it is taken */
  claim(name: string): void {
    if (name === "" || this.#names.has(name)) {
      throw new TrommelError("internal", `cannot build an ONNX graph: the name "${name}" is empty or taken`);
    }
    this.#names.add(name);
  }

  has(name: string): boolean {
    return this.#names.has(name);
  }

  /** Adds nodes unchanged; their output names must be claimed first. Used to inline another model. */
  addNodes(nodes: readonly NodeProto[]): void {
    this.#nodes.push(...nodes);
  }

  /** Adds named tensors unchanged; their names must be claimed first. */
  addInitializers(tensors: readonly TensorProto[], sparse: readonly SparseTensorProto[] = []): void {
    this.#initializers.push(...tensors);
    this.#sparseInitializers.push(...sparse);
  }

  addFunctions(functions: readonly FunctionProto[]): void {
    if (this.#within === undefined) this.#functions.push(...functions);
    else this.#within.addFunctions(functions);
  }

  /** Imports an operator domain other than the default one. @throws TrommelError `unsupported` for two versions of it */
  importDomain(domain: string, version: number): void {
    if (this.#within !== undefined) {
      this.#within.importDomain(domain, version);
      return;
    }
    const present = this.#domains.get(domain);
    if (present !== undefined && present !== version) {
      throw new TrommelError(
        "unsupported",
        `cannot combine ONNX models: they use versions ${present} and ${version} of the operator domain "${domain}". ` +
          "Export both with the same version",
      );
    }
    this.#domains.set(domain, version);
  }

  /** Raises the IR version to that of a model whose parts were added. */
  requireIrVersion(irVersion: number): void {
    if (this.#within === undefined) this.#irVersion = Math.max(this.#irVersion, irVersion);
    else this.#within.requireIrVersion(irVersion);
  }

  /** The whole model as an ONNX file. */
  encode(): Uint8Array {
    return encodeModel({
      irVersion: this.#irVersion,
      producerName: "trommel",
      opsetImport: [
        { domain: "", version: this.opset },
        ...[...this.#domains].map(([domain, version]) => ({ domain, version })),
      ],
      graph: this.graph(),
      functions: this.#functions,
    });
  }

  /** The graph alone, for the attribute of a node that runs it, such as the body of a Scan. */
  graph(): GraphProto {
    if (this.#outputs.length === 0) {
      throw new TrommelError(
        "internal",
        "cannot build an ONNX graph: it has no output. Declare one with output()",
      );
    }
    return {
      name: this.#graphName,
      input: this.#inputs,
      output: this.#outputs,
      initializer: this.#initializers,
      sparseInitializer: this.#sparseInitializers,
      node: this.#nodes,
    };
  }

  #checkExists(name: string, user: string): void {
    if (this.#names.has(name)) return;
    throw new TrommelError(
      "internal",
      `cannot build an ONNX graph: ${user} uses "${name}", which does not exist`,
    );
  }

  /** Reserves a value name: `stem_1`, `stem_2`, … */
  fresh(stem: string): string {
    for (;;) {
      const count = (this.#counts.get(stem) ?? 0) + 1;
      this.#counts.set(stem, count);
      const name = `${this.#namePrefix}${stem}_${count}`;
      if (!this.#names.has(name)) {
        this.#names.add(name);
        return name;
      }
    }
  }

  /** `stem` itself if it is free. */
  #freshAfter(stem: string): string {
    const name = `${this.#namePrefix}${stem}`;
    if (stem === "" || this.#names.has(name)) return this.fresh(stem === "" ? "constant" : stem);
    this.#names.add(name);
    return name;
  }
}

function constantKey(tensor: TensorProto): string | undefined {
  const { rawData, dataType, dims } = tensor;
  if (rawData === undefined || rawData.byteLength > sharedConstantMaxBytes) return undefined;
  return `${dataType ?? 0}|${(dims ?? []).map(int64ToNumber).join(",")}|${Buffer.from(rawData).toString("base64")}`;
}
