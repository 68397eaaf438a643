import {
  int64ToNumber,
  type ModelProto,
  type NodeProto,
  type TensorProto,
} from "../../graph/onnx/onnx-proto.js";
import { isDefaultDomain } from "../../graph/onnx/onnx-model.js";
import { attributeIn } from "../../graph/onnx/onnx-values.js";
import { tensorNumbers } from "../../graph/onnx/tensor-numbers.js";

/** What a network does to its pixels before anything else, and what pixels it therefore expects. */
export interface OwnPreprocessing {
  readonly expects: "0..255" | "0..1";
  /** The operators, in order. */
  readonly operators: readonly string[];
}

/** Operators that leave values as they are, as far as their range goes. */
const neutral = new Set(["Cast", "Dropout", "Identity", "Pad", "Transpose"]);

/**
 * Follows the image to the first operator that is not arithmetic with constants of one value, or one for each channel: Rescaling
 * and Normalization layers, the same in ONNX, and a batch normalisation of the image.
 *
 * They are y = (x - m) / d for each channel. A network that subtracts or divides by the size of pixel values expects 0..255;
 * one whose mean and deviation are those of 0..1 expects that. Anything else says nothing about the range, such as the batch
 * normalisation of an image that is already normalised.
 */
export function ownPreprocessing(model: ModelProto, image: string): OwnPreprocessing | undefined {
  const nodes = model.graph?.node ?? [];
  const constants = constantsOf(model);
  const operators: string[] = [];
  let sum: Affine = { scale: [1, 1, 1], shift: [0, 0, 0] };
  for (let value = image; ;) {
    // Exporters read the batch size off the image.
    const readers = nodes.filter(({ input, opType }) => (input ?? []).includes(value) && opType !== "Shape");
    const [reader, ...others] = readers;
    if (reader === undefined || others.length > 0 || !isDefaultDomain(reader.domain)) break;
    if (!neutral.has(reader.opType ?? "") && !reversesChannels(reader, constants)) {
      const step = stepOf(reader, value, constants);
      if (step === undefined) break;
      sum = {
        scale: sum.scale.map((scale, i) => scale * (step.scale[i] ?? 1)),
        shift: sum.shift.map((shift, i) => shift * (step.scale[i] ?? 1) + (step.shift[i] ?? 0)),
      };
      operators.push(reader.opType ?? "");
    }
    value = reader.output?.[0] ?? "";
  }
  const expects = expectedRange(sum);
  return expects === undefined ? undefined : { expects, operators };
}

interface Affine {
  readonly scale: readonly number[];
  readonly shift: readonly number[];
}

function expectedRange({ scale, shift }: Affine): OwnPreprocessing["expects"] | undefined {
  const deviations = scale.map((value) => 1 / Math.abs(value));
  const means = scale.map((value, i) => -(shift[i] ?? 0) / value);
  if (![...deviations, ...means].every(Number.isFinite)) return undefined;
  // Deviations of photographs are near 60 of 255; networks divide by that, by 127.5 or by 255.
  if (Math.max(...deviations) >= 16 || (Math.max(...means) > 16 && Math.min(...deviations) > 0.5))
    return "0..255";
  const isUnit =
    means.every((mean) => mean >= 0.2 && mean <= 0.8) && deviations.every((d) => d >= 0.1 && d <= 0.7);
  return isUnit ? "0..1" : undefined;
}

type Constants = ReadonlyMap<string, readonly number[]>;

/** Operators whose result has the values of their first operand, in order. */
const sameValues = new Set(["Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze"]);

/** Constants of one or three values by name, in any element type, and those that follow from them. */
function constantsOf(model: ModelProto): Constants {
  const constants = new Map<string, readonly number[]>();
  const add = (name: string | undefined, values: readonly number[] | undefined): void => {
    if (values?.length === 1 || values?.length === 3) constants.set(name ?? "", values);
  };
  for (const tensor of model.graph?.initializer ?? []) add(tensor.name, smallValues(tensor));
  // Nodes are sorted: a constant comes before its readers.
  for (const node of model.graph?.node ?? []) {
    if (node.opType === "Constant") add(node.output?.[0], valuesOfNode(node));
    else if (sameValues.has(node.opType ?? "")) add(node.output?.[0], constants.get(node.input?.[0] ?? ""));
  }
  return constants;
}

/** Weights of other sizes are not read. */
function smallValues(tensor: TensorProto): readonly number[] | undefined {
  const count = (tensor.dims ?? []).reduce((product: number, dim) => product * int64ToNumber(dim), 1);
  return count === 1 || count === 3 ? tensorNumbers(tensor) : undefined;
}

function valuesOfNode(node: NodeProto): readonly number[] | undefined {
  const { t } = attributeIn(node, "value") ?? {};
  if (t !== undefined) return smallValues(t);
  const { f } = attributeIn(node, "value_float") ?? {};
  const { i } = attributeIn(node, "value_int") ?? {};
  if (f !== undefined) return [f];
  if (i !== undefined) return [int64ToNumber(i)];
  return (
    attributeIn(node, "value_floats")?.floats ?? attributeIn(node, "value_ints")?.ints?.map(int64ToNumber)
  );
}

/** Per channel; one value serves all three. */
function three(values: readonly number[] | undefined): readonly number[] | undefined {
  if (values?.length === 1) return Array.from({ length: 3 }, () => values[0] ?? NaN);
  return values?.length === 3 ? values : undefined;
}

function stepOf(node: NodeProto, value: string, constants: Constants): Affine | undefined {
  const inputs = node.input ?? [];
  if (node.opType === "BatchNormalization") return batchNormalization(node, constants);
  const isFirst = inputs[0] === value;
  const operand = three(constants.get((isFirst ? inputs[1] : inputs[0]) ?? ""));
  if (operand === undefined || inputs.length !== 2) return undefined;
  const [one, zero] = [
    [1, 1, 1],
    [0, 0, 0],
  ];
  switch (node.opType) {
    case "Add":
      return { scale: one, shift: operand };
    case "Sub":
      return isFirst
        ? { scale: one, shift: operand.map((v) => -v) }
        : { scale: one.map((v) => -v), shift: operand };
    case "Mul":
      return { scale: operand, shift: zero };
    case "Div":
      return isFirst ? { scale: operand.map((v) => 1 / v), shift: zero } : undefined;
    default:
      return undefined;
  }
}

function batchNormalization(node: NodeProto, constants: Constants): Affine | undefined {
  const [gamma, beta, mean, variance] = (node.input ?? []).slice(1).map((name) => constants.get(name));
  if (gamma?.length !== 3 || beta?.length !== 3 || mean?.length !== 3 || variance?.length !== 3)
    return undefined;
  const epsilon = attributeIn(node, "epsilon")?.f ?? 1e-5;
  const scale = gamma.map((value, i) => value / Math.sqrt((variance[i] ?? 1) + epsilon));
  return { scale, shift: beta.map((value, i) => value - (mean[i] ?? 0) * (scale[i] ?? 1)) };
}

/** RGB to BGR leaves the range as it is. */
function reversesChannels({ opType, input }: NodeProto, constants: Constants): boolean {
  return opType === "Gather" && constants.get(input?.[1] ?? "")?.join() === "2,1,0";
}
