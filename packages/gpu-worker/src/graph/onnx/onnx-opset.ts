import { copyMessage } from "./onnx-names.js";
import { isDefaultDomain, opsetOf } from "./onnx-model.js";
import { type GraphProto, type ModelProto, type NodeProto } from "./onnx-proto.js";
import { cannotRaise, opsetRewrites } from "./opset-rewrites.js";

/** The oldest opset that can be raised. */
const oldestOpset = 7;

/**
 * Operators that infer the same result from the same inputs and attributes in every opset from 7 to 24, after the rewrites
 * of opset-rewrites.ts. Checked against the version history in onnx/docs/Changelog.md: their later versions only add element types, optional
 * inputs, or attributes whose default is the old behaviour.
 */
const unchangedOps = new Set(
  (
    "Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh AveragePool BatchNormalization BitShift Cast CastLike Ceil Celu Clip " +
    "Concat Constant ConstantOfShape Conv ConvInteger ConvTranspose Cos Cosh CumSum DepthToSpace DequantizeLinear Div Dropout DynamicQuantizeLinear Einsum Elu " +
    "Equal Erf Exp EyeLike Expand Flatten Floor GRU Gather GatherElements GatherND Gelu Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool Greater " +
    "GreaterOrEqual GridSample HardSigmoid HardSwish Identity If InstanceNormalization IsInf IsNaN LRN LSTM LayerNormalization LeakyRelu " +
    "Less LessOrEqual Log LogSoftmax Loop LpNormalization MatMul MatMulInteger Max MaxPool Mean MeanVarianceNormalization Min Mish Mod Mul " +
    "Neg NonZero Not OneHot Or PRelu Pad Pow QLinearConv QLinearMatMul QuantizeLinear Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp " +
    "ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize RoiAlign Round Scan Scatter " +
    "ScatterElements ScatterND Selu Shape Shrink Sigmoid Sign Sin Sinh Size Slice Softmax Softplus Softsign SpaceToDepth Split Sqrt " +
    "Squeeze Sub Sum Tan Tanh ThresholdedRelu Tile TopK Transpose Trilu Unsqueeze Upsample Where Xor"
  ).split(" "),
);

/**
 * Raises a model to a later opset, with the same results.
 * @throws TrommelError `unsupported` for opsets below 7, for lowering, for model-local functions, and for an operator whose
 *   meaning changed in between and has no rewrite
 */
export function raiseOpset(model: ModelProto, opset: number): ModelProto {
  const from = opsetOf(model);
  if (from === opset) return model;
  if (from > opset || from < oldestOpset) {
    throw cannotRaise(
      from,
      opset,
      `only opsets ${oldestOpset} and above can be raised (before, arithmetic broadcast by other rules), and none can be lowered`,
    );
  }
  if ((model.functions ?? []).length > 0) throw cannotRaise(from, opset, "the model has local functions");
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
    throw cannotRaise(from, to, `operator ${opType} may have changed its meaning in between`);
  }
  let nodes: readonly NodeProto[] = [raiseSubgraphs(node, from, to)];
  for (const step of opsetRewrites) {
    const last = nodes.at(-1);
    if (step.at <= from || step.at > to || !step.ops.includes(last?.opType ?? "")) continue;
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
