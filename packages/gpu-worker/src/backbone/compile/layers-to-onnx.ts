import { TrommelError, type Pooling } from "@trommel/common";
import { GraphBuilder } from "../../graph/graph-builder.js";
import { materialise, type Emitter, type LayerContext, type Value } from "./compile-context.js";
import { cutAt, type CutLayers } from "../layers/cut-layers.js";
import * as activation from "./emit-activation.js";
import * as normalization from "./emit-normalization.js";
import * as convolution from "./emit-convolution.js";
import * as pooling from "./emit-pooling.js";
import * as shape from "./emit-shape.js";
import { layerError } from "../layers/layer-config.js";
import type { BoundLayer } from "../layers/bound-layer.js";
import type { LayersModel } from "../layers/layers-model.js";

export interface CompileOptions {
  /** Side of the square input in pixels. */
  readonly inputSize: number;
  /** Layer whose output is the embedding. @default the model's own output */
  readonly output?: string;
  /** Used if that output is spatial. @default "average" */
  readonly pooling?: Pooling;
}

export interface CompiledLayers {
  /** An ONNX file: `image` float32 [N, 3, inputSize, inputSize] to `embedding` float32 [N, dimension]. */
  readonly model: Uint8Array;
  readonly dimension: number;
  readonly opset: number;
  /** The part of the layers model that was compiled. */
  readonly cut: CutLayers;
  readonly pooling: Pooling | "none";
}

/** Every supported layer type, after canonical-layers.ts. */
const emitters: Readonly<Record<string, Emitter>> = {
  Conv2D: convolution.emitConv2d,
  DepthwiseConv2D: convolution.emitDepthwiseConv2d,
  SeparableConv2D: convolution.emitSeparableConv2d,
  Dense: convolution.emitDense,
  BatchNormalization: normalization.emitBatchNormalization,
  GroupNormalization: normalization.emitGroupNormalization,
  Activation: activation.emitActivation,
  ReLU: activation.emitRelu,
  LeakyReLU: activation.emitLeakyRelu,
  PReLU: activation.emitPrelu,
  ELU: activation.emitElu,
  ThresholdedReLU: activation.emitThresholdedRelu,
  Softmax: activation.emitSoftmax,
  ZeroPadding2D: pooling.emitZeroPadding,
  Cropping2D: pooling.emitCropping,
  UpSampling2D: pooling.emitUpSampling,
  MaxPooling2D: pooling.emitMaxPooling,
  AveragePooling2D: pooling.emitAveragePooling,
  GlobalAveragePooling2D: pooling.emitGlobalAveragePooling,
  GlobalMaxPooling2D: pooling.emitGlobalMaxPooling,
  Dropout: shape.emitIdentity,
  Add: shape.emitAdd,
  Multiply: shape.emitMultiply,
  Subtract: shape.emitSubtract,
  Average: shape.emitAverage,
  Maximum: shape.emitMaximum,
  Minimum: shape.emitMinimum,
  Concatenate: shape.emitConcatenate,
  Reshape: shape.emitReshape,
  Flatten: shape.emitFlatten,
  Permute: shape.emitPermute,
  Rescaling: shape.emitRescaling,
};

/** Names of the supported layer types. */
export const servedClasses: readonly string[] = Object.keys(emitters);

/** Layers into whose weights a following batch normalisation can be folded. */
const foldingClasses = new Set(["Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Dense"]);

/**
 * Compiles a layers model to ONNX, for one input size: TensorFlow's SAME padding depends on it.
 * @throws TrommelError `unsupported` naming an unsupported layer, `not-found` for an unknown output, `invalid-argument` if the
 *   input size does not fit the model
 */
export function compileLayers(model: LayersModel, options: CompileOptions): CompiledLayers {
  const cut = cutAt(model, options.output);
  checkInput(cut, options.inputSize);
  const graph = new GraphBuilder({ graphName: "backbone" });
  const size = options.inputSize;
  const image = graph.input("image", "float32", ["N", 3, size, size]);
  const values = emitLayers(graph, {
    layers: cut.layers,
    image,
    inputSize: size,
    kept: new Set([cut.output]),
  });
  const value = valueOf(values, cut.output);
  const { embedding, pooling: pooled } = toEmbedding(graph, cut, value, options.pooling ?? "average");
  const dimension = embedding.shape[0] ?? 0;
  graph.output("embedding", "float32", ["N", dimension], embedding.name);
  return { model: graph.encode(), dimension, opset: graph.opset, cut, pooling: pooled };
}

export interface EmittedLayers {
  /** In topological order; the input layer is first. */
  readonly layers: readonly BoundLayer[];
  /** Value float32 [N, 3, inputSize, inputSize]. */
  readonly image: string;
  readonly inputSize: number;
  /** Layers whose own outputs are needed, so that nothing is folded into them. */
  readonly kept: ReadonlySet<string>;
}

/** Adds the nodes of layers with constant weights. @returns their values by the layers' names, but for those that others were folded into */
export function emitLayers(graph: GraphBuilder, options: EmittedLayers): ReadonlyMap<string, Value> {
  return new Compilation(graph, options).run();
}

class Compilation {
  readonly #graph: GraphBuilder;
  readonly #options: EmittedLayers;
  readonly #values = new Map<string, Value>();
  readonly #consumers: ReadonlyMap<string, readonly BoundLayer[]>;

  constructor(graph: GraphBuilder, options: EmittedLayers) {
    this.#graph = graph;
    this.#options = options;
    this.#consumers = consumersOf(options.layers);
  }

  run(): ReadonlyMap<string, Value> {
    for (const layer of this.#options.layers) {
      if (!this.#values.has(layer.name)) this.#compile(layer);
    }
    return this.#values;
  }

  #compile(layer: BoundLayer): void {
    if (layer.className === "InputLayer") {
      const { image, inputSize: size } = this.#options;
      this.#values.set(layer.name, { name: image, shape: [size, size, 3] });
      return;
    }
    const emit = emitters[layer.className];
    if (emit === undefined) {
      throw layerError(
        layer,
        `this layer type is not supported (legal: ${Object.keys(emitters).join(", ")})`,
      );
    }
    const following = this.#foldableNormalization(layer);
    const folded = following === undefined ? undefined : normalization.affineOf({ layer: following });
    const inputs = layer.inputs.map((name) => valueOf(this.#values, name));
    const value = emit({ graph: this.#graph, layer, inputs, folded });
    // If a normalisation was folded in, the layer's own output no longer exists, and nothing else reads it.
    this.#values.set(following?.name ?? layer.name, value);
  }

  /** The batch normalisation after a layer, if only it reads the layer's output and no activation is in between. */
  #foldableNormalization(layer: BoundLayer): BoundLayer | undefined {
    if (!foldingClasses.has(layer.className) || this.#options.kept.has(layer.name)) return undefined;
    const [only, ...others] = this.#consumers.get(layer.name) ?? [];
    if (only?.className !== "BatchNormalization" || others.length > 0) return undefined;
    // Convolutions and Dense keep the rank, so the last axis of input and output is the same.
    const rank = valueOf(this.#values, layer.inputs[0] ?? "").shape.length;
    const isLinear = (layer.config["activation"] ?? "linear") === "linear";
    return isLinear && normalization.normalizesLastAxis(only, rank) ? only : undefined;
  }
}

/** The layers that read each layer's output. */
export function consumersOf(layers: readonly BoundLayer[]): ReadonlyMap<string, readonly BoundLayer[]> {
  const consumers = new Map<string, BoundLayer[]>();
  for (const layer of layers) {
    for (const input of layer.inputs) consumers.set(input, [...(consumers.get(input) ?? []), layer]);
  }
  return consumers;
}

function valueOf(values: ReadonlyMap<string, Value>, name: string): Value {
  const value = values.get(name);
  if (value !== undefined) return value;
  throw new TrommelError("internal", `cannot compile the layers model: "${name}" has no value yet`);
}

function checkInput(cut: CutLayers, inputSize: number): void {
  const { config } = cut.input;
  const declared: unknown = config["batch_input_shape"] ?? config["batch_shape"] ?? [null, null, null, 3];
  const [, height, width, channels] = Array.isArray(declared) ? (declared as unknown[]) : [];
  if (channels !== 3 || (Array.isArray(declared) && declared.length !== 4)) {
    throw layerError(
      cut.input,
      `its input is ${JSON.stringify(declared)}, and a backbone needs RGB images [N, H, W, 3]`,
    );
  }
  if (height !== width)
    throw layerError(
      cut.input,
      `its input is ${String(height)}×${String(width)}, and a backbone needs a square`,
    );
  if (!Number.isSafeInteger(inputSize) || inputSize < 1) {
    throw new TrommelError(
      "invalid-argument",
      `cannot compile the layers model for an input size of ${inputSize} (legal: a whole number from 1)`,
    );
  }
}

function toEmbedding(
  graph: GraphBuilder,
  cut: CutLayers,
  value: Value,
  kind: Pooling,
): { embedding: Value; pooling: CompiledLayers["pooling"] } {
  const layer = cut.layers.at(-1) ?? cut.input;
  const context: LayerContext = { graph, layer, inputs: [value], folded: undefined };
  const whole = materialise(context, value);
  if (whole.shape.length === 1) return { embedding: whole, pooling: "none" };
  if (whole.shape.length === 3)
    return { embedding: pooling.poolGlobally(context, whole, kind), pooling: kind };
  throw layerError(layer, `its output [${whole.shape.join(", ")}] is neither an embedding nor spatial`);
}
