import { scalar } from "./emit-activation.js";
import { integersOf, layerError, numberOf } from "../layers/layer-config.js";
import {
  fromKerasOrder,
  inKerasOrder,
  isPixel,
  materialise,
  reshapeTo,
  soleInput,
  storedAxis,
  type Emitter,
  type LayerContext,
  type Value,
} from "./compile-context.js";

function size(shape: readonly number[]): number {
  return shape.reduce((product, dim) => product * dim, 1);
}

/** Reshapes the values in Keras's order, as Keras does. */
function reshape(context: LayerContext, input: Value, shape: readonly number[]): Value {
  // With one pixel per channel NHWC and NCHW have the same layout.
  const source = isPixel(input.shape) ? input.name : inKerasOrder(context, input);
  if (isPixel(shape)) return { name: reshapeTo(context, source, [shape[2] ?? 0, 1, 1]), shape };
  return fromKerasOrder(context, reshapeTo(context, source, shape), shape);
}

export const emitReshape: Emitter = (context) => {
  const input = soleInput(context);
  const target = integersOf(context.layer, "target_shape");
  const known = size(target.filter((dim) => dim !== -1));
  const shape = target.map((dim) => (dim === -1 ? size(input.shape) / known : dim));
  if (size(shape) !== size(input.shape) || !shape.every((dim) => Number.isSafeInteger(dim) && dim > 0)) {
    throw layerError(
      context.layer,
      `[${input.shape.join(", ")}] cannot become [${target.join(", ")}]; is the input size right?`,
      "invalid-argument",
    );
  }
  return reshape(context, input, shape);
};

export const emitFlatten: Emitter = (context) => {
  const input = soleInput(context);
  return input.shape.length === 1 ? input : reshape(context, input, [size(input.shape)]);
};

/** `dims` counts from 1 and leaves the batch out. */
export const emitPermute: Emitter = (context) => {
  const { graph, layer } = context;
  const input = soleInput(context);
  const dims = integersOf(layer, "dims");
  const sorted = [...dims].sort((a, b) => a - b);
  if (sorted.length !== input.shape.length || sorted.some((dim, index) => dim !== index + 1)) {
    throw layerError(layer, `dims [${dims.join(", ")}] do not permute ${input.shape.length} dimensions`);
  }
  const name = graph.node("Transpose", [inKerasOrder(context, input)], { perm: [0, ...dims] });
  const shape = dims.map((dim) => input.shape[dim - 1] ?? 0);
  return fromKerasOrder(context, name, shape);
};

export const emitConcatenate: Emitter = (context) => {
  const { graph, layer } = context;
  const inputs = context.inputs.map((input) => materialise(context, input));
  const [first] = inputs;
  if (first === undefined) throw layerError(layer, "it has no input", "corrupt");
  const rank = first.shape.length + 1;
  const given = numberOf(layer, "axis", -1);
  const axis = given < 0 ? given + rank : given;
  const stored = storedAxis(context, first, axis);
  const agrees = (input: Value): boolean =>
    input.shape.length === first.shape.length &&
    input.shape.every((dim, index) => index === axis - 1 || dim === first.shape[index]);
  if (axis === 0 || !inputs.every(agrees))
    throw layerError(layer, `its inputs cannot be joined along axis ${given}`);
  const total = inputs.reduce((sum, input) => sum + (input.shape[axis - 1] ?? 0), 0);
  const name = graph.node(
    "Concat",
    inputs.map((input) => input.name),
    { axis: stored },
  );
  return { name, shape: first.shape.map((dim, index) => (index === axis - 1 ? total : dim)) };
};

const merge =
  (opType: "Add" | "Mul" | "Sub" | "Max" | "Min", average = false): Emitter =>
  (context) => {
    const { graph, layer } = context;
    const inputs = context.inputs.map((input) => materialise(context, input));
    const [first, ...rest] = inputs;
    if (first === undefined || rest.length === 0)
      throw layerError(layer, "it needs two inputs or more", "corrupt");
    if (opType === "Sub" && rest.length !== 1) throw layerError(layer, "it needs two inputs", "corrupt");
    const shape = rest.reduce((sofar, input) => broadcast(context, sofar, input.shape), first.shape);
    const merged = rest.reduce((sofar, input) => graph.node(opType, [sofar, input.name]), first.name);
    return {
      name: average ? graph.node("Mul", [merged, scalar(context, 1 / inputs.length)]) : merged,
      shape,
    };
  };

export const emitAdd = merge("Add");
export const emitMultiply = merge("Mul");
export const emitSubtract = merge("Sub");
export const emitAverage = merge("Add", true);
export const emitMaximum = merge("Max");
export const emitMinimum = merge("Min");

function broadcast(
  { layer }: LayerContext,
  left: readonly number[],
  right: readonly number[],
): readonly number[] {
  const fits = (dim: number, index: number): boolean =>
    dim === right[index] || dim === 1 || right[index] === 1;
  if (left.length !== right.length || !left.every(fits)) {
    throw layerError(
      layer,
      `its inputs [${left.join(", ")}] and [${right.join(", ")}] do not fit each other`,
    );
  }
  return left.map((dim, index) => Math.max(dim, right[index] ?? 1));
}

/** x · scale + offset; both may be one number or one per channel. */
export const emitRescaling: Emitter = (context) => {
  const { graph, layer } = context;
  const input = soleInput(context);
  const factor = (key: string, fallback: number): string => {
    const given: unknown = layer.config[key] ?? fallback;
    if (!Array.isArray(given)) return scalar(context, numberOf(layer, key, fallback));
    const values = given.map(Number);
    if (values.length !== input.shape.at(-1))
      throw layerError(layer, `${key} does not fit its input`, "corrupt");
    const dims = input.shape.length === 3 ? [values.length, 1, 1] : [values.length];
    return graph.constant(`${layer.name}/${key}`, "float32", dims, Float32Array.from(values));
  };
  const scaled = graph.node("Mul", [input.name, factor("scale", 1)]);
  return { name: graph.node("Add", [scaled, factor("offset", 0)]), shape: input.shape };
};

export const emitIdentity: Emitter = (context) => soleInput(context);
