import {
  int64ToNumber,
  type AttributeProto,
  type ModelProto,
  type NodeProto,
  type TensorProto,
} from "../../graph/onnx/onnx-proto.js";
import { attributeIn } from "../../graph/onnx/onnx-values.js";
import { isDefaultDomain } from "../../graph/onnx/onnx-model.js";

/**
 * Follows a value back to the operator that decides which of its axes holds the channels, as far as operators say it:
 * convolutions and poolings are channels first in ONNX, LayerNormalization and products with a matrix of weights are channels
 * last, and a constant with one value for each entry of one axis alone belongs to channels.
 */

const words = (text: string): ReadonlySet<string> => new Set(text.split(" "));

const channelsFirst = words(
  "AveragePool BatchNormalization Conv ConvInteger ConvTranspose DepthToSpace GlobalAveragePool GlobalLpPool GlobalMaxPool " +
    "GridSample GroupNormalization InstanceNormalization LpPool LRN MaxPool QLinearConv RoiAlign SpaceToDepth FusedConv NhwcMaxPool",
);
const channelsLast = words(
  "Gemm LayerNormalization RMSNormalization SimplifiedLayerNormalization SkipLayerNormalization BiasGelu BiasAdd",
);
/** The first input decides, and the rank stays. */
const unary = words(
  "Abs Cast Celu Clip Dropout Elu Erf Exp Expand Gelu HardSigmoid HardSwish Identity LeakyRelu Log LogSoftmax LpNormalization " +
    "Mish Neg Pad QuantizeLinear DequantizeLinear QuickGelu FastGelu Reciprocal Relu Resize Selu Sigmoid Slice Softmax Softplus " +
    "Softsign Split Sqrt Tanh ThresholdedRelu Upsample",
);
/** Every input may decide; inputs broadcast from the last axis. */
const merging = words("Add Concat Div Max Mean Min Mul Pow PRelu Sub Sum Where");
const reducing = words("ReduceL1 ReduceL2 ReduceMax ReduceMean ReduceMin ReduceSum ReduceSumSquare");

export class ChannelTrace {
  readonly #makers: ReadonlyMap<string, NodeProto>;
  readonly #constants: ReadonlyMap<string, readonly number[]>;
  readonly #rank: number;
  /** Also ends the walk where paths meet again. */
  readonly #known = new Map<string, number | undefined>();

  /**
   * @param rank of the value, and of what is followed
   * @param input the image with the axis of its channels, counted from the end
   */
  constructor(model: ModelProto, rank: number, input: readonly [name: string, axis: number]) {
    const nodes = model.graph?.node ?? [];
    this.#makers = new Map(nodes.flatMap((node) => (node.output ?? []).map((name) => [name, node] as const)));
    const inNodes = nodes.flatMap((node) => {
      const { t } = attributeIn(node, "value") ?? {};
      return node.opType === "Constant" && t !== undefined
        ? [[node.output?.[0] ?? "", shapeOf(t)] as const]
        : [];
    });
    const tensors = (model.graph?.initializer ?? []).map(
      (tensor) => [tensor.name ?? "", shapeOf(tensor)] as const,
    );
    this.#constants = new Map([...tensors, ...inNodes]);
    this.#rank = rank;
    this.#known.set(...input);
  }

  /** @returns the axis of the channels, counted from the end (-1 is the last); undefined if no operator says it */
  axisOf(name: string): number | undefined {
    if (this.#known.has(name)) return this.#known.get(name);
    this.#known.set(name, undefined);
    const maker = this.#makers.get(name);
    const axis = maker === undefined ? undefined : this.#axisOf(maker);
    this.#known.set(name, axis);
    return axis;
  }

  #axisOf(node: NodeProto): number | undefined {
    const { opType = "", input: inputs = [] } = node;
    const [first = "", second = ""] = inputs;
    const own = isDefaultDomain(node.domain) || node.domain === "com.microsoft";
    if (!own) return undefined;
    if (channelsFirst.has(opType)) return 1 - this.#rank;
    if (channelsLast.has(opType)) return -1;
    if (unary.has(opType)) return this.axisOf(first);
    if (merging.has(opType)) return this.#merged(inputs);
    if (opType === "MatMul") return this.#constants.get(second)?.length === 2 ? -1 : this.axisOf(second);
    if (opType === "Transpose") return this.#transposed(node, first);
    if (reducing.has(opType))
      return int(attributeIn(node, "keepdims"), 1) === 1 ? this.axisOf(first) : undefined;
    return undefined;
  }

  #merged(inputs: readonly string[]): number | undefined {
    for (const name of inputs) {
      const shape = this.#constants.get(name);
      const wide = (shape ?? []).flatMap((dim, at) => (dim > 1 ? [at - (shape ?? []).length] : []));
      if (wide.length === 1) return wide[0];
    }
    for (const name of inputs) {
      const axis = this.#constants.has(name) ? undefined : this.axisOf(name);
      if (axis !== undefined) return axis;
    }
    return undefined;
  }

  #transposed(node: NodeProto, from: string): number | undefined {
    const perm = (attributeIn(node, "perm")?.ints ?? []).map(int64ToNumber);
    const axis = this.axisOf(from);
    if (axis === undefined || perm.length !== this.#rank) return undefined;
    const at = perm.indexOf(axis + this.#rank);
    return at < 0 ? undefined : at - this.#rank;
  }
}

function int(attribute: AttributeProto | undefined, fallback: number): number {
  return attribute?.i === undefined ? fallback : int64ToNumber(attribute.i);
}

function shapeOf(tensor: TensorProto): readonly number[] {
  return (tensor.dims ?? []).map(int64ToNumber);
}
