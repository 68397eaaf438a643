import { fusedActivation } from "./emit-activation.js";
import {
  checkChannelsLast,
  layerError,
  noPads,
  numberOf,
  pairOf,
  textOf,
  type EdgePairs,
} from "../layers/layer-config.js";
import {
  fromKerasOrder,
  inKerasOrder,
  materialise,
  optionalWeight,
  rawInput,
  soleInput,
  spatialShape,
  weightOf,
  type Affine,
  type Emitter,
  type LayerContext,
  type Value,
  type Weight,
} from "./compile-context.js";

export interface Window {
  readonly kernel: readonly [number, number];
  readonly strides: readonly [number, number];
  readonly dilations: readonly [number, number];
}

/** The placement of a sliding window: explicit zeros, and the size of the output. */
export interface Placement {
  readonly pads: EdgePairs;
  readonly height: number;
  readonly width: number;
}

/**
 * TensorFlow's padding. SAME: out = ceil(in / stride); if the number of zeros is odd, the extra one is at the end. VALID: no
 * zeros. The zeros of an earlier ZeroPadding2D (`around`) are added for VALID only.
 */
export function placeWindow(
  context: Pick<LayerContext, "layer">,
  [inHeight, inWidth]: readonly [number, number],
  window: Window,
  around: EdgePairs = noPads,
): Placement {
  const padding = textOf(context.layer, "padding", "valid").toLowerCase();
  if (padding !== "same" && padding !== "valid") {
    throw layerError(context.layer, `padding is ${padding} (legal: same, valid)`);
  }
  const place = (size: number, axis: 0 | 1): { out: number; before: number; after: number } => {
    const span = (window.kernel[axis] - 1) * window.dilations[axis] + 1;
    const stride = window.strides[axis];
    if (padding === "valid") {
      return {
        out: Math.floor((size - span) / stride) + 1,
        before: around[axis],
        after: around[axis + 2] ?? 0,
      };
    }
    const out = Math.ceil(size / stride);
    const total = Math.max((out - 1) * stride + span - size, 0);
    return { out, before: Math.floor(total / 2), after: Math.ceil(total / 2) };
  };
  const vertical = place(inHeight, 0);
  const horizontal = place(inWidth, 1);
  if (vertical.out < 1 || horizontal.out < 1) {
    throw layerError(
      context.layer,
      `its ${inHeight}×${inWidth} input is smaller than its window`,
      "invalid-argument",
    );
  }
  return {
    pads: [vertical.before, horizontal.before, vertical.after, horizontal.after],
    height: vertical.out,
    width: horizontal.out,
  };
}

interface Convolution {
  readonly label: string;
  /** [kh, kw, in / groups, out], or for depthwise ones [kh, kw, in, multiplier]. */
  readonly kernel: Weight;
  readonly depthwise: boolean;
  readonly groups: number;
  readonly bias: Float32Array | undefined;
  readonly folded: Affine | undefined;
}

export const emitConv2d: Emitter = (context) => {
  const { layer } = context;
  const kernel = weightOf(layer, "kernel");
  const groups = numberOf(layer, "groups", 1);
  const bias = optionalWeight(layer, "bias");
  const value = convolve(context, context.folded, {
    label: layer.name,
    kernel,
    depthwise: false,
    groups,
    bias,
  });
  return fusedActivation(context, value);
};

export const emitDepthwiseConv2d: Emitter = (context) => {
  const { layer } = context;
  const kernel = weightOf(layer, "depthwise_kernel");
  const bias = optionalWeight(layer, "bias");
  const options = { label: layer.name, kernel, depthwise: true, groups: kernel.shape[2] ?? 0, bias };
  return fusedActivation(context, convolve(context, context.folded, options));
};

export const emitSeparableConv2d: Emitter = (context) => {
  const { layer } = context;
  const depthwise = weightOf(layer, "depthwise_kernel");
  const middle = convolve(context, undefined, {
    label: `${layer.name}/depthwise`,
    kernel: depthwise,
    depthwise: true,
    groups: depthwise.shape[2] ?? 0,
    bias: undefined,
  });
  const pointwise: LayerContext = {
    ...context,
    inputs: [middle],
    layer: { ...layer, config: { ...layer.config, strides: 1, dilation_rate: 1, padding: "valid" } },
  };
  const value = convolve(pointwise, context.folded, {
    label: `${layer.name}/pointwise`,
    kernel: weightOf(layer, "pointwise_kernel"),
    depthwise: false,
    groups: 1,
    bias: optionalWeight(layer, "bias"),
  });
  return fusedActivation(context, value);
};

function convolve(
  context: LayerContext,
  folded: Affine | undefined,
  options: Omit<Convolution, "folded">,
): Value {
  const { graph, layer } = context;
  checkChannelsLast(layer);
  const same = textOf(layer, "padding", "valid").toLowerCase() === "same";
  const input = same ? soleInput(context) : rawInput(context);
  const around = input.pendingPads ?? noPads;
  const [height, width, channels] = spatialShape(context, input);
  const { kernel, groups } = options;
  const [kernelHeight = 0, kernelWidth = 0] = kernel.shape;
  checkKernel(context, options, channels);
  const outs = options.depthwise ? channels * (kernel.shape[3] ?? 0) : (kernel.shape[3] ?? 0);
  checkLengths(context, outs, options.bias, folded);
  const strides = pairOf(layer, "strides", 1);
  const dilations = pairOf(layer, "dilation_rate", 1);
  const window: Window = { kernel: [kernelHeight, kernelWidth], strides, dilations };
  const placed = placeWindow(context, [height, width], window, around);
  const { dims, weights, bias } = channelsFirstKernel({ ...options, folded });
  const inputs = [input.name, graph.constant(`${options.label}/kernel`, "float32", dims, weights)];
  if (bias !== undefined)
    inputs.push(graph.constant(`${options.label}/bias`, "float32", [bias.length], bias));
  const name = graph.node("Conv", inputs, {
    kernel_shape: [kernelHeight, kernelWidth],
    strides,
    dilations,
    pads: [...placed.pads],
    group: groups,
  });
  return { name, shape: [placed.height, placed.width, dims[0] ?? 0] };
}

function checkKernel({ layer }: LayerContext, options: Omit<Convolution, "folded">, channels: number): void {
  const { kernel, depthwise, groups } = options;
  const expected = depthwise ? kernel.shape[2] : (kernel.shape[2] ?? 0) * groups;
  if (kernel.shape.length !== 4 || expected !== channels || (kernel.shape[3] ?? 0) === 0) {
    throw layerError(
      layer,
      `its kernel [${kernel.shape.join(", ")}] does not fit an input of ${channels} channels`,
      "corrupt",
    );
  }
}

function checkLengths(
  { layer }: LayerContext,
  outs: number,
  bias: Float32Array | undefined,
  folded: Affine | undefined,
): void {
  for (const length of [bias?.length ?? outs, folded?.scale.length ?? outs]) {
    if (length === outs) continue;
    const why = `its bias or the following normalisation has ${length} channels, its kernel ${outs}`;
    throw layerError(layer, why, "corrupt");
  }
}

/** Keras's kernel as ONNX's [out, in / groups, kh, kw], with a following batch normalisation folded in (in float64). */
function channelsFirstKernel({ kernel, depthwise, bias, folded }: Convolution): {
  dims: number[];
  weights: Float32Array;
  bias: Float32Array | undefined;
} {
  const [height = 0, width = 0, third = 0, fourth = 0] = kernel.shape;
  // Depthwise output channel = input channel · multiplier + index, which is Keras's own order of the last two axes.
  const [ins, outs] = depthwise ? [1, third * fourth] : [third, fourth];
  const pixels = height * width;
  const weights = new Float32Array(kernel.values.length);
  for (let pixel = 0; pixel < pixels; pixel++) {
    for (let into = 0; into < ins; into++) {
      const from = (pixel * ins + into) * outs;
      for (let out = 0; out < outs; out++) {
        const value = kernel.values[from + out] ?? 0;
        weights[(out * ins + into) * pixels + pixel] =
          folded === undefined ? value : value * (folded.scale[out] ?? 0);
      }
    }
  }
  return { dims: [outs, ins, height, width], weights, bias: foldedBias(bias, folded) };
}

function foldedBias(bias: Float32Array | undefined, folded: Affine | undefined): Float32Array | undefined {
  if (folded === undefined) return bias;
  return Float32Array.from(
    folded.shift,
    (shift, out) => (bias?.[out] ?? 0) * (folded.scale[out] ?? 0) + shift,
  );
}

/** Dense works on the last Keras axis, whatever the other axes are. */
export const emitDense: Emitter = (context) => {
  const { graph, layer, folded } = context;
  const input = soleInput(context);
  const { shape, values } = weightOf(layer, "kernel");
  const [ins = 0, outs = 0] = shape;
  if (shape.length !== 2 || ins !== input.shape.at(-1)) {
    throw layerError(
      layer,
      `its kernel [${shape.join(", ")}] does not fit an input of [${input.shape.join(", ")}]; is the input size right?`,
      "invalid-argument",
    );
  }
  const weightBias = optionalWeight(layer, "bias");
  checkLengths(context, outs, weightBias, folded);
  const scaled =
    folded === undefined ? values : values.map((value, index) => value * (folded.scale[index % outs] ?? 0));
  const kernel = graph.constant(`${layer.name}/kernel`, "float32", [ins, outs], scaled);
  const bias = foldedBias(weightBias, folded);
  const offset = bias === undefined ? [] : [graph.constant(`${layer.name}/bias`, "float32", [outs], bias)];
  const outShape = [...input.shape.slice(0, -1), outs];
  if (input.shape.length === 1) {
    const name = graph.node("Gemm", [input.name, kernel, ...offset]);
    return fusedActivation(context, { name, shape: outShape });
  }
  const product = graph.node("MatMul", [inKerasOrder(context, materialise(context, input)), kernel]);
  const sum = offset.length === 0 ? product : graph.node("Add", [product, ...offset]);
  return fusedActivation(context, fromKerasOrder(context, sum, outShape));
};
