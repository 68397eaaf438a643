import { TrommelError } from "@trommel/common";
import { toFloat16 } from "@trommel/common/codec";
import { copyMessage } from "./onnx/onnx-names.js";
import { isDefaultDomain } from "./onnx/onnx-model.js";
import { feedNames } from "./onnx/inline-model.js";
import {
  attributeTypes,
  elementTypeCodes,
  int64ToNumber,
  type AttributeProto,
  type GraphProto,
  type ModelProto,
  type NodeProto,
  type TensorProto,
  type ValueInfoProto,
} from "./onnx/onnx-proto.js";
import { attributeProto, floatValues, tensorProto } from "./onnx/onnx-values.js";

/**
 * A network in half precision: the same nodes with weights rounded to float16, and a cast after each input and before each
 * output, so that everything around the network stays float32.
 *
 * Every float32 value inside becomes float16, so no type inference is needed: every operator must be known to take float16
 * wherever it takes float32, otherwise the model is refused.
 */

const { float32, float16 } = elementTypeCodes;

/** Operators whose float inputs and outputs may all be float16 in all opsets from 16 to 23 (onnx/docs/Operators.md). */
const halfOps = new Set(
  (
    "Abs Add And ArgMax ArgMin AveragePool BatchNormalization Cast Ceil Clip Concat Constant ConstantOfShape Conv ConvTranspose " +
    "Cos DepthToSpace Div Dropout Einsum Elu Equal Erf Exp Expand Flatten Floor Gather GatherElements GatherND Gelu Gemm " +
    "GlobalAveragePool GlobalMaxPool Greater GreaterOrEqual HardSigmoid HardSwish Identity InstanceNormalization " +
    "LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax MatMul Max MaxPool Mean Min Mish Mul Neg Not Or PRelu Pad " +
    "Pow Reciprocal ReduceL1 ReduceL2 ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize " +
    "Round Selu Shape Sigmoid Sign Sin Size Slice Softmax Softplus Softsign SpaceToDepth Split Sqrt Squeeze Sub Sum Tanh Tile " +
    "Transpose Unsqueeze Where"
  ).split(" "),
);

/** Inputs that are always float32, by operator. */
const fullInputs: Readonly<Record<string, readonly number[]>> = { Resize: [1, 2] };

/**
 * @param name the model in error messages
 * @throws TrommelError `unsupported` for an operator that is not known to compute in float16, and for a weight outside its range
 */
export function toHalfPrecision(model: ModelProto, name: string): ModelProto {
  const graph = model.graph ?? {};
  checkOperators(model, name);
  const feeds = new Set(feedNames(graph));
  const inputs = (graph.input ?? []).filter((input) => feeds.has(input.name ?? ""));
  const outputs = graph.output ?? [];
  const fresh = freshNames(graph);
  const halved = new Map(
    [...inputs, ...outputs].filter(isFloat32).map(({ name: of = "" }) => [of, fresh(of)]),
  );
  const full = new FullPrecisionInputs(graph, fresh);
  const nodes = (graph.node ?? []).flatMap((node) => {
    const renamed = renameValues(halfNode(node, name), halved);
    const { before, inputs: kept } = full.inputsOf(node, renamed.input ?? []);
    return [...before, copyMessage(renamed, { input: kept })];
  });
  const castOf = (from: string, to: string, type: number): NodeProto => ({
    opType: "Cast",
    name: `${to}/cast`,
    input: [from],
    output: [to],
    attribute: [attributeProto("to", type)],
  });
  const cast = ({ name: of = "" }: ValueInfoProto): string => halved.get(of) ?? of;
  return copyMessage(model, {
    graph: copyMessage(graph, {
      node: [
        ...inputs.filter(isFloat32).map((input) => castOf(input.name ?? "", cast(input), float16)),
        ...nodes,
        ...outputs.filter(isFloat32).map((output) => castOf(cast(output), output.name ?? "", float32)),
      ],
      initializer: [...(graph.initializer ?? []).map((tensor) => halfTensor(tensor, name)), ...full.tensors],
      input: inputs,
      valueInfo: [],
    }),
  });
}

function checkOperators(model: ModelProto, name: string): void {
  const nodes = model.graph?.node ?? [];
  const known = ({ domain, opType = "" }: NodeProto): boolean =>
    isDefaultDomain(domain) && halfOps.has(opType);
  const others = [...new Set(nodes.filter((node) => !known(node)).map(({ opType = "" }) => opType))];
  const sparse = (model.graph?.sparseInitializer ?? []).length > 0 ? ["sparse weights"] : [];
  const refused = [...others, ...sparse];
  if (refused.length === 0) return;
  throw new TrommelError(
    "unsupported",
    `cannot use ${name} in half precision: not known to compute in float16: ${refused.join(", ")}. Use precision: fp32`,
    { context: { operators: refused } },
  );
}

function isFloat32({ type }: ValueInfoProto): boolean {
  return type?.tensorType?.elemType === float32;
}

function freshNames(graph: GraphProto): (name: string) => string {
  const taken = new Set([
    ...(graph.input ?? []).map(({ name = "" }) => name),
    ...(graph.initializer ?? []).map(({ name = "" }) => name),
    ...(graph.node ?? []).flatMap(({ output }) => output ?? []),
  ]);
  return (name) => {
    let candidate = `${name}/half`;
    while (taken.has(candidate)) candidate += "_";
    taken.add(candidate);
    return candidate;
  };
}

function renameValues(node: NodeProto, names: ReadonlyMap<string, string>): NodeProto {
  const rename = (list: readonly string[] = []): string[] => list.map((value) => names.get(value) ?? value);
  return copyMessage(node, { input: rename(node.input), output: rename(node.output) });
}

/** Operands that must stay float32: constants unchanged, computed ones cast back. */
class FullPrecisionInputs {
  readonly tensors: TensorProto[] = [];
  readonly #initializers: ReadonlyMap<string, TensorProto>;
  readonly #names = new Map<string, string>();
  readonly #fresh: (name: string) => string;

  constructor(graph: GraphProto, fresh: (name: string) => string) {
    this.#initializers = new Map((graph.initializer ?? []).map((tensor) => [tensor.name ?? "", tensor]));
    this.#fresh = fresh;
  }

  /** @param node before any change @param renamed its inputs under their new names */
  inputsOf(node: NodeProto, renamed: readonly string[]): { before: NodeProto[]; inputs: string[] } {
    const before: NodeProto[] = [];
    const kept = fullInputs[node.opType ?? ""] ?? [];
    const inputs = renamed.map((value, at) => {
      const original = node.input?.[at] ?? "";
      if (!kept.includes(at) || original === "") return value;
      const known = this.#names.get(original);
      if (known !== undefined) return known;
      const full = this.#fresh(original);
      this.#names.set(original, full);
      const tensor = this.#initializers.get(original);
      if (tensor === undefined) {
        const attribute = [attributeProto("to", float32)];
        before.push({ opType: "Cast", name: full, input: [value], output: [full], attribute });
      } else this.tensors.push(copyMessage(tensor, { name: full }));
      return full;
    });
    return { before, inputs };
  }
}

function halfNode(node: NodeProto, name: string): NodeProto {
  const attributes = node.attribute ?? [];
  switch (node.opType) {
    case "Cast":
      return withAttributes(
        node,
        attributes.map((one) =>
          one.name === "to" && int64ToNumber(one.i ?? 0) === float32 ? attributeProto("to", float16) : one,
        ),
      );
    case "Constant":
      return withAttributes(
        node,
        attributes.map((one) => halfConstant(one, name)),
      );
    case "ConstantOfShape": {
      // Its default value is a float32 zero.
      const zero = tensorProto("float32", [1], Float32Array.of(0));
      const given = attributes.length > 0 ? attributes : [attributeProto("value", { tensor: zero })];
      return withAttributes(
        node,
        given.map((one) => halfConstant(one, name)),
      );
    }
    default:
      return node;
  }
}

function withAttributes(node: NodeProto, attribute: AttributeProto[]): NodeProto {
  return copyMessage(node, { attribute });
}

function halfConstant(attribute: AttributeProto, name: string): AttributeProto {
  const asTensor = (dims: readonly number[], values: readonly number[]): AttributeProto => {
    const tensor = tensorProto("float32", dims, Float32Array.from(values));
    return attributeProto("value", { tensor: halfTensor(tensor, name) });
  };
  if (attribute.t !== undefined && attribute.type === attributeTypes.tensor)
    return copyMessage(attribute, { t: halfTensor(attribute.t, name) });
  if (attribute.name === "value_float") return asTensor([], [attribute.f ?? 0]);
  if (attribute.name === "value_floats")
    return asTensor([attribute.floats?.length ?? 0], attribute.floats ?? []);
  return attribute;
}

/** Rounds to nearest even; values above 65504 would become infinite. */
function halfTensor(tensor: TensorProto, name: string): TensorProto {
  if (tensor.dataType !== float32) return tensor;
  const values = floatValues(tensor);
  const patterns = toFloat16(values);
  const at = patterns.findIndex(
    (pattern, i) => (pattern & 0x7fff) === 0x7c00 && Number.isFinite(values[i] ?? NaN),
  );
  if (at >= 0) {
    throw new TrommelError(
      "unsupported",
      `cannot use ${name} in half precision: its weight ${tensor.name ?? ""} contains ${values[at]}, and float16 ends at 65504. Use precision: fp32`,
      { context: { tensor: tensor.name ?? "", value: values[at] ?? null } },
    );
  }
  const dims = (tensor.dims ?? []).map(int64ToNumber);
  return {
    ...tensorProto("float16", dims, patterns),
    ...(tensor.name === undefined ? {} : { name: tensor.name }),
  };
}
