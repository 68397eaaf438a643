import { layerError, numberOf } from "../layers/layer-config.js";
import {
  soleInput,
  storedAxis,
  weightOf,
  type Emitter,
  type LayerContext,
  type Value,
} from "./compile-context.js";

/** Applies an activation by its canonical name (see activation-names.ts); formulas as in TensorFlow.js. */
function activate(context: LayerContext, value: Value, activation: string): Value {
  const { graph } = context;
  const x = value.name;
  const apply = (name: string): Value => ({ name, shape: value.shape });
  switch (activation) {
    case "linear":
      return value;
    case "relu":
      return apply(graph.node("Relu", [x]));
    case "relu6":
      return apply(clip(context, x, 0, 6));
    case "elu":
      return apply(graph.node("Elu", [x]));
    case "selu":
      return apply(graph.node("Selu", [x]));
    case "gelu":
      return apply(gelu(context, x));
    case "sigmoid":
      return apply(graph.node("Sigmoid", [x]));
    case "hard_sigmoid":
      return apply(graph.node("HardSigmoid", [x], { alpha: { float: 0.2 }, beta: { float: 0.5 } }));
    case "tanh":
      return apply(graph.node("Tanh", [x]));
    case "softmax":
      return apply(graph.node("Softmax", [x], { axis: storedAxis(context, value, -1) }));
    case "softplus":
      return apply(graph.node("Softplus", [x]));
    case "softsign":
      return apply(graph.node("Softsign", [x]));
    case "swish":
      return apply(graph.node("Mul", [x, graph.node("Sigmoid", [x])]));
    case "mish":
      return apply(graph.node("Mul", [x, graph.node("Tanh", [graph.node("Softplus", [x])])]));
    default:
      throw layerError(context.layer, `activation ${activation} is not supported`);
  }
}

/** x · Φ(x), by the error function (Hendrycks and Gimpel, 2016). */
function gelu(context: LayerContext, x: string): string {
  const { graph } = context;
  const erf = graph.node("Erf", [graph.node("Mul", [x, scalar(context, Math.SQRT1_2)])]);
  const cdf = graph.node("Mul", [graph.node("Add", [erf, scalar(context, 1)]), scalar(context, 0.5)]);
  return graph.node("Mul", [x, cdf]);
}

export function scalar({ graph }: Pick<LayerContext, "graph">, value: number): string {
  return graph.constant("scalar", "float32", [], Float32Array.of(value));
}

function clip(context: LayerContext, x: string, min: number, max: number): string {
  return context.graph.node("Clip", [x, scalar(context, min), scalar(context, max)]);
}

/** The config already contains the canonical name of the activation. */
export function fusedActivation(context: LayerContext, value: Value): Value {
  const { activation } = context.layer.config;
  return typeof activation === "string" ? activate(context, value, activation) : value;
}

export const emitActivation: Emitter = (context) => fusedActivation(context, soleInput(context));

/** Keras: max_value above it, x from threshold on, negative_slope · (x - threshold) below. */
export const emitRelu: Emitter = (context) => {
  const { graph, layer } = context;
  const input = soleInput(context);
  const x = input.name;
  const slope = numberOf(layer, "negative_slope", 0);
  const threshold = numberOf(layer, "threshold", 0);
  const bounded = layer.config["max_value"] !== undefined && layer.config["max_value"] !== null;
  const max = bounded ? numberOf(layer, "max_value", 0) : undefined;
  if (slope === 0 && threshold === 0) {
    return {
      name: max === undefined ? graph.node("Relu", [x]) : clip(context, x, 0, max),
      shape: input.shape,
    };
  }
  const above = graph.node("GreaterOrEqual", [x, scalar(context, threshold)]);
  const below = graph.node("Mul", [
    graph.node("Sub", [x, scalar(context, threshold)]),
    scalar(context, slope),
  ]);
  const bent = graph.node("Where", [above, x, below]);
  return {
    name: max === undefined ? bent : graph.node("Min", [bent, scalar(context, max)]),
    shape: input.shape,
  };
};

export const emitLeakyRelu: Emitter = (context) => {
  const input = soleInput(context);
  const alpha = numberOf(context.layer, "alpha", numberOf(context.layer, "negative_slope", 0.3));
  return {
    name: context.graph.node("LeakyRelu", [input.name], { alpha: { float: alpha } }),
    shape: input.shape,
  };
};

export const emitElu: Emitter = (context) => {
  const input = soleInput(context);
  const alpha = numberOf(context.layer, "alpha", 1);
  return { name: context.graph.node("Elu", [input.name], { alpha: { float: alpha } }), shape: input.shape };
};

export const emitThresholdedRelu: Emitter = (context) => {
  const input = soleInput(context);
  const theta = numberOf(context.layer, "theta", 1);
  return {
    name: context.graph.node("ThresholdedRelu", [input.name], { alpha: { float: theta } }),
    shape: input.shape,
  };
};

export const emitSoftmax: Emitter = (context) => {
  const input = soleInput(context);
  const axis = storedAxis(context, input, numberOf(context.layer, "axis", -1));
  return { name: context.graph.node("Softmax", [input.name], { axis }), shape: input.shape };
};

/** alpha has the input's shape in Keras's order, with 1 along the shared axes. */
export const emitPrelu: Emitter = (context) => {
  const { graph, layer } = context;
  const input = soleInput(context);
  const { shape, values } = weightOf(layer, "alpha");
  if (
    shape.length !== input.shape.length ||
    shape.some((dim, axis) => dim !== 1 && dim !== input.shape[axis])
  ) {
    throw layerError(
      layer,
      `alpha has the shape [${shape.join(", ")}] for an input of [${input.shape.join(", ")}]`,
    );
  }
  const [height = 1, width = 1, channels = 1] = shape;
  const stored = shape.length === 3 ? channelsFirst(values, height * width, channels) : values;
  const dims = shape.length === 3 ? [channels, height, width] : [...shape];
  const slope = graph.constant(`${layer.name}/alpha`, "float32", dims, stored);
  return { name: graph.node("PRelu", [input.name, slope]), shape: input.shape };
};

function channelsFirst(values: Float32Array, pixels: number, channels: number): Float32Array {
  const moved = new Float32Array(values.length);
  for (let pixel = 0; pixel < pixels; pixel++) {
    for (let channel = 0; channel < channels; channel++) {
      moved[channel * pixels + pixel] = values[pixel * channels + channel] ?? 0;
    }
  }
  return moved;
}
