import { TrommelError } from "@trommel/common";
import { copyMessage } from "./onnx-names.js";
import {
  attributeTypes,
  int64ToNumber,
  type AttributeProto,
  type Int64,
  type NodeProto,
  type TensorProto,
} from "./onnx-proto.js";
import { tensorProto } from "./onnx-values.js";

/** Rewrites a node when its model is raised to opset `at`. A later rewrite sees the last of the resulting nodes. */
interface OpsetRewrite {
  readonly at: number;
  readonly ops: readonly string[];
  readonly rewrite: (node: NodeProto) => readonly NodeProto[];
}

/** In the order of their opsets, which is the order in which they apply. */
export const opsetRewrites: readonly OpsetRewrite[] = [
  { at: 9, ops: ["BatchNormalization"], rewrite: spatialOnly },
  { at: 9, ops: ["Scan"], rewrite: refused(8, 9, "Scan had another form") },
  { at: 9, ops: ["Upsample"], rewrite: (node) => floatsToInput(node, "scales") },
  { at: 10, ops: ["Upsample"], rewrite: (node) => [copyMessage(node, { opType: "Resize" })] },
  { at: 10, ops: ["Slice"], rewrite: (node) => listsToInputs(node, ["starts", "ends", "axes"]) },
  { at: 10, ops: ["TopK"], rewrite: countToInput },
  { at: 11, ops: ["Resize"], rewrite: asymmetricResize },
  { at: 11, ops: ["Pad"], rewrite: padsToInputs },
  { at: 11, ops: ["Clip"], rewrite: boundsToInputs },
  { at: 11, ops: ["Scatter"], rewrite: (node) => [copyMessage(node, { opType: "ScatterElements" })] },
  { at: 12, ops: ["Dropout"], rewrite: (node) => [without(node, "ratio")] },
  { at: 13, ops: ["Squeeze", "Unsqueeze", "ReduceSum"], rewrite: (node) => listToInput(node, "axes") },
  { at: 13, ops: ["Split"], rewrite: (node) => listToInput(node, "split") },
  { at: 13, ops: ["Softmax", "LogSoftmax"], rewrite: flattenedSoftmax },
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

/** Attributes that became inputs move into Constant nodes, and the node reads them after its first input. */
function toInputs(
  node: NodeProto,
  moved: readonly (readonly [name: string, tensor: TensorProto | undefined])[],
): readonly NodeProto[] {
  const present = moved.findLastIndex(([, tensor]) => tensor !== undefined);
  const inputs = moved.slice(0, present + 1).map(([name, tensor]) => ({
    name: tensor === undefined ? "" : `${node.output?.[0] ?? ""}/${name}`,
    tensor,
  }));
  const constants = inputs.flatMap(({ name, tensor }) =>
    tensor === undefined ? [] : [constantNode(name, tensor)],
  );
  const stripped = moved.reduce((kept, [name]) => without(kept, name), node);
  return [
    ...constants,
    copyMessage(stripped, { input: [node.input?.[0] ?? "", ...inputs.map(({ name }) => name)] }),
  ];
}

function constantNode(output: string, tensor: TensorProto): NodeProto {
  return {
    opType: "Constant",
    name: output,
    output: [output],
    attribute: [{ name: "value", type: attributeTypes.tensor, t: tensor }],
  };
}

function int64s(values: readonly Int64[]): TensorProto {
  return tensorProto(
    "int64",
    [values.length],
    BigInt64Array.from(values, (value) => BigInt(int64ToNumber(value))),
  );
}

function intsOf(node: NodeProto, name: string): TensorProto | undefined {
  const attribute = find(node, name);
  return attribute === undefined ? undefined : int64s(attribute.ints ?? []);
}

function floatOf(node: NodeProto, name: string): TensorProto | undefined {
  const value = find(node, name)?.f;
  return value === undefined ? undefined : tensorProto("float32", [], Float32Array.of(value));
}

function listToInput(node: NodeProto, name: string): readonly NodeProto[] {
  return find(node, name) === undefined ? [node] : listsToInputs(node, [name]);
}

function listsToInputs(node: NodeProto, names: readonly string[]): readonly NodeProto[] {
  return toInputs(
    node,
    names.map((name) => [name, intsOf(node, name)] as const),
  );
}

function floatsToInput(node: NodeProto, name: string): readonly NodeProto[] {
  const values = find(node, name)?.floats ?? [];
  return toInputs(node, [[name, tensorProto("float32", [values.length], Float32Array.from(values))]]);
}

function countToInput(node: NodeProto): readonly NodeProto[] {
  return toInputs(node, [["k", int64s([find(node, "k")?.i ?? 1])]]);
}

function padsToInputs(node: NodeProto): readonly NodeProto[] {
  return toInputs(node, [
    ["pads", intsOf(node, "pads")],
    ["value", floatOf(node, "value")],
  ]);
}

/** The bounds become float32, which every network of these opsets computes in, or ONNX Runtime refuses the model. */
function boundsToInputs(node: NodeProto): readonly NodeProto[] {
  return toInputs(node, [
    ["min", floatOf(node, "min")],
    ["max", floatOf(node, "max")],
  ]);
}

/** Opset 10 and Upsample scale from the corner, and round down; opset 11 put an input `roi` before the scales. */
function asymmetricResize(node: NodeProto): readonly NodeProto[] {
  const [image = "", scales = ""] = node.input ?? [];
  const asymmetric = withDefault(
    withDefault(node, "coordinate_transformation_mode", "asymmetric"),
    "nearest_mode",
    "floor",
  );
  return [copyMessage(asymmetric, { input: [image, "", scales] })];
}

function spatialOnly(node: NodeProto): readonly NodeProto[] {
  const spatial = find(node, "spatial")?.i;
  if (spatial !== undefined && int64ToNumber(spatial) === 0)
    throw cannotRaise(8, 9, "BatchNormalization has statistics for every pixel (spatial = 0)");
  return [without(node, "spatial")];
}

function refused(from: number, to: number, why: string): () => never {
  return () => {
    throw cannotRaise(from, to, why);
  };
}

/**
 * Before opset 13 Softmax merged the axes before `axis`, and those from it on, whatever the rank. Flatten does the same, so
 * that the softmax of its rows has the old meaning for every axis.
 */
function flattenedSoftmax(node: NodeProto): readonly NodeProto[] {
  const stated = find(node, "axis")?.i;
  const axis = stated === undefined ? 1 : int64ToNumber(stated);
  if (axis === -1) return [node];
  const [input = ""] = node.input ?? [];
  const [output = ""] = node.output ?? [];
  const int = (name: string, i: number): AttributeProto => ({ name, type: attributeTypes.int, i });
  const of = (opType: string, inputs: string[], name: string, attribute: AttributeProto[]): NodeProto => ({
    ...{ opType, name, input: inputs, output: [name], attribute },
  });
  const [rows, soft, shape] = [`${output}/rows`, `${output}/softmax`, `${output}/shape`];
  return [
    of("Flatten", [input], rows, [int("axis", axis)]),
    copyMessage(without(node, "axis"), { input: [rows], output: [soft], attribute: [int("axis", -1)] }),
    of("Shape", [input], shape, []),
    of("Reshape", [soft, shape], output, []),
  ];
}

function withoutTensorflowHalfPixel(node: NodeProto): readonly NodeProto[] {
  if (text(find(node, "coordinate_transformation_mode")) !== "tf_half_pixel_for_nn") return [node];
  throw cannotRaise(12, 13, "Resize uses tf_half_pixel_for_nn, which opset 13 dropped");
}

function inferenceOnly(node: NodeProto): readonly NodeProto[] {
  if ((node.output ?? []).filter((name) => name !== "").length <= 1) return [node];
  throw cannotRaise(13, 14, "BatchNormalization gives training outputs");
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
  throw cannotRaise(18, 19, "AveragePool uses ceil_mode");
}

function renameGridSampleMode(node: NodeProto): readonly NodeProto[] {
  const renamed: Readonly<Record<string, string>> = { bilinear: "linear", bicubic: "cubic" };
  const mode = text(find(node, "mode"));
  const next = mode === undefined ? undefined : renamed[mode];
  return [next === undefined ? node : withDefault(without(node, "mode"), "mode", next)];
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

export function cannotRaise(from: number, to: number, why: string): TrommelError {
  return new TrommelError(
    "unsupported",
    `cannot raise an ONNX model from opset ${from} to ${to}: ${why}. Export the model with opset ${Math.max(to, 17)}`,
  );
}
