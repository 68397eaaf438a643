import { TrommelError, axisOrders, type AxisOrder } from "@trommel/common";
import { feedNames } from "../../graph/onnx/inline-model.js";
import {
  elementTypeCodes,
  int64ToNumber,
  type ModelProto,
  type ValueInfoProto,
} from "../../graph/onnx/onnx-proto.js";
import { refuse } from "./refuse.js";

/** The form of the encoder's image input. */
export interface ImageInput {
  readonly name: string;
  readonly halfPrecision: boolean;
  readonly size: number;
  /** The orders of axes that the declared shape allows: two where its channels are symbolic. */
  readonly layouts: readonly AxisOrder[];
}

/** undefined for a symbolic axis. */
type Axis = number | undefined;

/**
 * The encoder's only input, with every axis that its graph declares.
 * @throws TrommelError `unsupported` for an input that is no batch of RGB images, `invalid-argument` if a size must be given
 */
export function imageInput(
  model: ModelProto,
  { inputSize, inputLayout }: { readonly inputSize?: number; readonly inputLayout?: AxisOrder },
): ImageInput {
  const graph = model.graph ?? {};
  const names = feedNames(graph);
  const [name, ...others] = names;
  const info = (graph.input ?? []).find((value) => value.name === name);
  if (name === undefined || info === undefined || others.length > 0) {
    throw refuse(`it has ${names.length} inputs (${names.join(", ")}), and a backbone has one, the image`);
  }
  const elementType = info.type?.tensorType?.elemType;
  if (elementType !== elementTypeCodes.float32 && elementType !== elementTypeCodes.float16) {
    const typeName = Object.entries(elementTypeCodes).find(([, code]) => code === elementType)?.[0];
    throw refuse(
      `its input ${name} has element type ${typeName ?? elementType ?? "unknown"} (legal: float32, float16). Export it with floating-point pixels`,
    );
  }
  const dims = declaredDims(info) ?? [undefined, undefined, undefined, undefined];
  const [batch] = dims;
  const legal = dims.length === 4 ? axisOrders.filter((order) => isRgb(dims, order)) : [];
  const layouts = legal.filter((order) => inputLayout === undefined || order === inputLayout);
  if (layouts.length === 0) {
    throw refuse(
      `its input ${name} is [${dims.map((dim) => dim ?? "?").join(", ")}] (legal: [N, 3, H, W], [N, H, W, 3]` +
        `${inputLayout === undefined || legal.length === 0 ? "" : `, and --input-layout says ${inputLayout}`})`,
    );
  }
  if (batch !== undefined && batch !== 1)
    throw refuse(`its batch size is fixed at ${batch}. Export it with a dynamic batch`);
  const sides = layouts.flatMap((order) => sidesOf(dims, order)).filter((side) => side !== undefined);
  return {
    name,
    halfPrecision: elementType === elementTypeCodes.float16,
    size: sizeOf(sides, inputSize),
    layouts,
  };
}

/** Symbolic axes may be anything; some exporters write them as 0 or -1. undefined if the input declares no shape at all. */
function declaredDims(info: ValueInfoProto): Axis[] | undefined {
  return info.type?.tensorType?.shape?.dim?.map(({ dimValue }) => {
    const value = dimValue === undefined ? 0 : int64ToNumber(dimValue);
    return value > 0 ? value : undefined;
  });
}

function isRgb(dims: readonly Axis[], order: AxisOrder): boolean {
  const channels = order === "nchw" ? dims[1] : dims[3];
  const known = channels === 3;
  const other = order === "nchw" ? dims[3] : dims[1];
  // A declared 3 elsewhere is the channels', for no image is three pixels wide.
  return known ? other !== 3 : channels === undefined && other !== 3;
}

function sidesOf(dims: readonly Axis[], order: AxisOrder): readonly Axis[] {
  return order === "nchw" ? [dims[2], dims[3]] : [dims[1], dims[2]];
}

function sizeOf(fixed: readonly number[], inputSize: number | undefined): number {
  const size = inputSize ?? fixed[0];
  if (size === undefined) {
    throw new TrommelError(
      "invalid-argument",
      "cannot import the encoder: it accepts images of any size. Set the input size with --size",
    );
  }
  if (fixed.some((side) => side !== size)) {
    throw new TrommelError(
      "invalid-argument",
      `cannot import the encoder with the input size ${size}×${size}: its input is ${fixed.join("×")}. ` +
        "Use the declared size, which must be square",
    );
  }
  return size;
}
