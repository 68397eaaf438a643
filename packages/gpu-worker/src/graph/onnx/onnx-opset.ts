import { TrommelError } from "@trommel/common";
import { copyMessage } from "./onnx-names.js";
import { isDefaultDomain, opsetOf } from "./onnx-model.js";
import {
  attributeTypes,
  int64ToNumber,
  type AttributeProto,
  type GraphProto,
  type Int64,
  type ModelProto,
  type NodeProto,
} from "./onnx-proto.js";
import { tensorProto } from "./onnx-values.js";

/** The oldest opset that can be raised. */
const oldestOpset = 11;

/**
 * Operators that infer the same result from the same inputs and attributes in every opset from 11 to 23, after the rewrites
 * below. Checked against the version history in onnx/docs/Changelog.md: their later versions only add element types, optional
 * inputs, or attributes whose default is the old behaviour.
 */
const unchangedOps = new Set(
  (
    "Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh AveragePool BatchNormalization BitShift Cast Ceil Celu Clip " +
    "Concat Constant ConstantOfShape Conv ConvTranspose Cos Cosh CumSum DepthToSpace DequantizeLinear Div Dropout Einsum Elu " +
    "Equal Erf Exp Expand Flatten Floor GRU Gather GatherElements GatherND Gelu Gemm GlobalAveragePool GlobalMaxPool Greater " +
    "GreaterOrEqual GridSample HardSigmoid HardSwish Identity If InstanceNormalization LRN LSTM LayerNormalization LeakyRelu " +
    "Less LessOrEqual Log LogSoftmax Loop LpNormalization MatMul Max MaxPool Mean MeanVarianceNormalization Min Mish Mod Mul " +
    "Neg NonZero Not OneHot Or PRelu Pad Pow QuantizeLinear Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp " +
    "ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize RoiAlign Round Scan " +
    "ScatterElements ScatterND Selu Shape Sigmoid Sign Sin Sinh Size Slice Softmax Softplus Softsign SpaceToDepth Split Sqrt " +
    "Squeeze Sub Sum Tan Tanh ThresholdedRelu Tile TopK Transpose Trilu Unsqueeze Where Xor"
  ).split(" "),
);

/** Rewrites a node when its model is raised to opset `at`. The last resulting node is the node itself. */
interface Rewrite {
  readonly at: number;
  readonly ops: readonly string[];
  readonly rewrite: (node: NodeProto) => readonly NodeProto[];
}

const rewrites: readonly Rewrite[] = [
  { at: 12, ops: ["Dropout"], rewrite: (node) => [without(node, "ratio")] },
  { at: 13, ops: ["Squeeze", "Unsqueeze", "ReduceSum"], rewrite: (node) => listToInput(node, "axes") },
  { at: 13, ops: ["Split"], rewrite: (node) => listToInput(node, "split") },
  { at: 13, ops: ["Softmax", "LogSoftmax"], rewrite: lastAxisOnly },
  { at: 13, ops: ["Resize"], rewrite: withoutTensorflowHalfPixel },
  { at: 14, ops: ["BatchNormalization"], rewrite: inferenceOnly },
  {
    at: 16,
    ops: ["RoiAlign"],
    rewrite: (node) => [withDefault(node, "coordinate_transformation_mode", "output_half_pixel")],
  },
  { at: 18, ops: ["Split"], rewrite: withOutputCount },
  {
    at: 18,
    ops: "ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSumSquare".split(
      " ",
    ),
    rewrite: (node) => listToInput(node, "axes"),
  },
  { at: 19, ops: ["AveragePool"], rewrite: floorModeOnly },
  { at: 20, ops: ["GridSample"], rewrite: renameGridSampleMode },
];

/**
 * Raises a model to a later opset, with the same results.
 * @throws TrommelError `unsupported` for opsets below 11, for lowering, for model-local functions, and for an operator whose
 *   meaning changed in between and has no rewrite here
 */
export function raiseOpset(model: ModelProto, opset: number): ModelProto {
  const from = opsetOf(model);
  if (from === opset) return model;
  if (from > opset || from < oldestOpset) {
    throw refuse(from, opset, `only opsets ${oldestOpset} and above can be raised, and none can be lowered`);
  }
  if ((model.functions ?? []).length > 0) throw refuse(from, opset, "the model has local functions");
  return copyMessage(model, {
    opsetImport: (model.opsetImport ?? []).map((entry) =>
      isDefaultDomain(entry.domain) ? { domain: "", version: opset } : entry,
    ),
    ...(model.graph === undefined ? {} : { graph: raiseGraph(model.graph, from, opset) }),
  });
}

function raiseGraph(graph: GraphProto, from: number, to: number): GraphProto {
  return copyMessage(graph, { node: (graph.node ?? []).flatMap((node) => raiseNode(node, from, to)) });
}

function raiseNode(node: NodeProto, from: number, to: number): readonly NodeProto[] {
  if (!isDefaultDomain(node.domain)) return [node];
  const opType = node.opType ?? "";
  if (!unchangedOps.has(opType)) {
    throw refuse(from, to, `operator ${opType} may have changed its meaning in between`);
  }
  let nodes: readonly NodeProto[] = [raiseSubgraphs(node, from, to)];
  for (const step of rewrites) {
    if (step.at <= from || step.at > to || !step.ops.includes(opType)) continue;
    const last = nodes.at(-1);
    if (last !== undefined) nodes = [...nodes.slice(0, -1), ...step.rewrite(last)];
  }
  return nodes;
}

function raiseSubgraphs(node: NodeProto, from: number, to: number): NodeProto {
  if ((node.attribute ?? []).every(({ g, graphs }) => g === undefined && (graphs ?? []).length === 0))
    return node;
  const attribute = (node.attribute ?? []).map((item) =>
    copyMessage(item, {
      ...(item.g === undefined ? {} : { g: raiseGraph(item.g, from, to) }),
      ...(item.graphs === undefined
        ? {}
        : { graphs: item.graphs.map((graph) => raiseGraph(graph, from, to)) }),
    }),
  );
  return copyMessage(node, { attribute });
}

function find(node: NodeProto, name: string): AttributeProto | undefined {
  return (node.attribute ?? []).find((attribute) => attribute.name === name);
}

function text(attribute: AttributeProto | undefined): string | undefined {
  return attribute?.s === undefined ? undefined : Buffer.from(attribute.s).toString("utf8");
}

function without(node: NodeProto, name: string): NodeProto {
  return copyMessage(node, {
    attribute: (node.attribute ?? []).filter((attribute) => attribute.name !== name),
  });
}

function withAttribute(node: NodeProto, attribute: AttributeProto): NodeProto {
  return copyMessage(node, { attribute: [...(node.attribute ?? []), attribute] });
}

function withDefault(node: NodeProto, name: string, value: string): NodeProto {
  if (find(node, name) !== undefined) return node;
  return withAttribute(node, { name, type: attributeTypes.string, s: Buffer.from(value, "utf8") });
}

/** Moves an attribute that became the second input into a Constant node. */
function listToInput(node: NodeProto, name: string): readonly NodeProto[] {
  const attribute = find(node, name);
  if (attribute === undefined) return [node];
  const output = `${node.output?.[0] ?? ""}/${name}`;
  return [
    constantNode(output, attribute.ints ?? []),
    copyMessage(without(node, name), { input: [node.input?.[0] ?? "", output] }),
  ];
}

function constantNode(output: string, values: readonly Int64[]): NodeProto {
  const data = BigInt64Array.from(values.map((value) => BigInt(int64ToNumber(value))));
  const value: AttributeProto = {
    name: "value",
    type: attributeTypes.tensor,
    t: tensorProto("int64", [values.length], data),
  };
  return { opType: "Constant", name: output, output: [output], attribute: [value] };
}

/** Before opset 13 Softmax merged all axes from `axis` on; only for the last axis is the meaning unchanged. */
function lastAxisOnly(node: NodeProto): readonly NodeProto[] {
  const axis = find(node, "axis")?.i;
  if (axis !== undefined && int64ToNumber(axis) === -1) return [node];
  throw refuse(12, 13, `${node.opType ?? ""} does not state the last axis (axis = -1)`);
}

function withoutTensorflowHalfPixel(node: NodeProto): readonly NodeProto[] {
  if (text(find(node, "coordinate_transformation_mode")) !== "tf_half_pixel_for_nn") return [node];
  throw refuse(12, 13, "Resize uses tf_half_pixel_for_nn, which opset 13 dropped");
}

function inferenceOnly(node: NodeProto): readonly NodeProto[] {
  if ((node.output ?? []).filter((name) => name !== "").length <= 1) return [node];
  throw refuse(13, 14, "BatchNormalization gives training outputs");
}

function withOutputCount(node: NodeProto): readonly NodeProto[] {
  if ((node.input?.[1] ?? "") !== "") return [node];
  return [
    withAttribute(node, { name: "num_outputs", type: attributeTypes.int, i: node.output?.length ?? 0 }),
  ];
}

/** Opset 19 defined how the last, partial window is averaged. */
function floorModeOnly(node: NodeProto): readonly NodeProto[] {
  const ceilMode = find(node, "ceil_mode")?.i;
  if (ceilMode === undefined || int64ToNumber(ceilMode) === 0) return [node];
  throw refuse(18, 19, "AveragePool uses ceil_mode");
}

function renameGridSampleMode(node: NodeProto): readonly NodeProto[] {
  const renamed: Readonly<Record<string, string>> = { bilinear: "linear", bicubic: "cubic" };
  const mode = text(find(node, "mode"));
  const next = mode === undefined ? undefined : renamed[mode];
  return [next === undefined ? node : withDefault(without(node, "mode"), "mode", next)];
}

function refuse(from: number, to: number, why: string): TrommelError {
  return new TrommelError(
    "unsupported",
    `cannot raise an ONNX model from opset ${from} to ${to}: ${why}. Export the model with opset ${Math.max(to, 17)}`,
  );
}
