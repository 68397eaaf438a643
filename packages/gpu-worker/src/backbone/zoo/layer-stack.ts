import type { Pooling } from "@trommel/common";
import { kerasOrder, type GraphLayer } from "./keras-order.js";

/** One weight of a network. */
export interface ZooWeight {
  readonly layer: string;
  /** kernel, bias, gamma, beta, moving_mean, moving_variance, depthwise_kernel or pointwise_kernel. */
  readonly name: string;
  readonly shape: readonly number[];
}

/** The square output of a layer. */
export interface FeatureMap {
  readonly layer: string;
  /** Side in pixels. */
  readonly size: number;
  readonly channels: number;
}

interface StackedLayer extends GraphLayer {
  readonly className: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly weights: readonly Omit<ZooWeight, "layer">[];
}

type Padding = "same" | "valid";
type Kernel = number | readonly [height: number, width: number];

interface Named {
  /** @default Keras's automatic name: the class in snake case, with a number from the second such layer on */
  readonly name?: string;
}

interface WindowOptions extends Named {
  readonly kernel: Kernel;
  /** @default 1 */
  readonly strides?: number;
  /** @default "valid", as in Keras */
  readonly padding?: Padding;
}

interface ConvolutionOptions extends WindowOptions {
  readonly filters: number;
  readonly bias?: boolean;
  readonly activation?: string;
}

/** Zeros before and after, for both axes alike. */
export type EdgePadding = readonly [before: number, after: number];

/**
 * Builds a functional Keras model layer by layer: tracks shapes, collects weights and creates names as Keras does. Nothing is
 * computed. Initialisers are zeros, because all weights are given later.
 */
export class LayerStack {
  readonly #layers: StackedLayer[] = [];
  readonly #named = new Map<string, number>();

  input(size: number): FeatureMap {
    const config = { batch_input_shape: [null, size, size, 3], dtype: "float32", sparse: false };
    return { layer: this.#add("InputLayer", { name: "input_1" }, [], config), size, channels: 3 };
  }

  zeroPadding(input: FeatureMap, options: Named & { readonly padding: EdgePadding }): FeatureMap {
    const [before, after] = options.padding;
    const config = { padding: [options.padding, options.padding], data_format: "channels_last" };
    const layer = this.#add("ZeroPadding2D", options, [input], config);
    return { layer, size: input.size + before + after, channels: input.channels };
  }

  convolution(input: FeatureMap, options: ConvolutionOptions): FeatureMap {
    const { filters } = options;
    const bias = options.bias ?? false;
    const config = {
      ...windowConfig(options),
      filters,
      activation: options.activation ?? "linear",
      use_bias: bias,
      kernel_initializer: zeros,
    };
    const kernel = [...sides(options.kernel), input.channels, filters];
    const layer = this.#add("Conv2D", options, [input], config, [
      { name: "kernel", shape: kernel },
      ...(bias ? [{ name: "bias", shape: [filters] }] : []),
    ]);
    return { layer, size: windowed(input.size, options), channels: filters };
  }

  depthwiseConvolution(input: FeatureMap, options: WindowOptions): FeatureMap {
    const config = {
      ...windowConfig(options),
      depth_multiplier: 1,
      use_bias: false,
      depthwise_initializer: zeros,
    };
    const shape = [...sides(options.kernel), input.channels, 1];
    const layer = this.#add("DepthwiseConv2D", options, [input], config, [
      { name: "depthwise_kernel", shape },
    ]);
    return { layer, size: windowed(input.size, options), channels: input.channels };
  }

  separableConvolution(input: FeatureMap, options: WindowOptions & { readonly filters: number }): FeatureMap {
    const { filters } = options;
    const config = {
      ...windowConfig(options),
      filters,
      depth_multiplier: 1,
      use_bias: false,
      depthwise_initializer: zeros,
      pointwise_initializer: zeros,
    };
    const layer = this.#add("SeparableConv2D", options, [input], config, [
      { name: "depthwise_kernel", shape: [...sides(options.kernel), input.channels, 1] },
      { name: "pointwise_kernel", shape: [1, 1, input.channels, filters] },
    ]);
    return { layer, size: windowed(input.size, options), channels: filters };
  }

  /** @param options.epsilon @default 1e-3, as in Keras; `scale: false` leaves gamma out */
  normalization(
    input: FeatureMap,
    options: Named & { readonly epsilon?: number; readonly scale?: boolean } = {},
  ): FeatureMap {
    const scale = options.scale ?? true;
    const config = { axis: 3, epsilon: options.epsilon ?? 1e-3, center: true, scale };
    const names = [...(scale ? ["gamma"] : []), "beta", "moving_mean", "moving_variance"];
    const weights = names.map((name) => ({ name, shape: [input.channels] }));
    return { ...input, layer: this.#add("BatchNormalization", options, [input], config, weights) };
  }

  activation(input: FeatureMap, options: Named & { readonly activation: string }): FeatureMap {
    const { activation } = options;
    return { ...input, layer: this.#add("Activation", options, [input], { activation }) };
  }

  relu6(input: FeatureMap, options: Named): FeatureMap {
    return { ...input, layer: this.#add("ReLU", options, [input], { max_value: 6 }) };
  }

  maxPooling(
    input: FeatureMap,
    options: Omit<WindowOptions, "kernel"> & { readonly kernel: number },
  ): FeatureMap {
    return this.#pooling("MaxPooling2D", input, options);
  }

  averagePooling(
    input: FeatureMap,
    options: Omit<WindowOptions, "kernel"> & { readonly kernel: number },
  ): FeatureMap {
    return this.#pooling("AveragePooling2D", input, options);
  }

  /** One value per channel, as a feature map of one pixel whose layer returns [N, C]. */
  globalPooling(input: FeatureMap, options: Named & { readonly pooling: Pooling }): FeatureMap {
    const className = options.pooling === "average" ? "GlobalAveragePooling2D" : "GlobalMaxPooling2D";
    const layer = this.#add(className, options, [input], { data_format: "channels_last" });
    return { layer, size: 1, channels: input.channels };
  }

  /** Restores height and width of a globally pooled [N, C]. */
  asPixel(input: FeatureMap, options: Named): FeatureMap {
    const config = { target_shape: [1, 1, input.channels] };
    return { ...input, layer: this.#add("Reshape", options, [input], config) };
  }

  add(inputs: readonly [FeatureMap, FeatureMap], options: Named = {}): FeatureMap {
    return { ...inputs[0], layer: this.#add("Add", options, inputs, {}) };
  }

  multiply(inputs: readonly [FeatureMap, FeatureMap], options: Named): FeatureMap {
    return { ...inputs[0], layer: this.#add("Multiply", options, inputs, {}) };
  }

  concatenate(inputs: readonly [FeatureMap, ...FeatureMap[]], options: Named = {}): FeatureMap {
    const layer = this.#add("Concatenate", options, inputs, { axis: 3 });
    return { ...inputs[0], layer, channels: inputs.reduce((sum, { channels }) => sum + channels, 0) };
  }

  /** The model that ends in `output`: its topology as Keras 2 writes it, and its weights, both in Keras's order. */
  finish(
    name: string,
    output: FeatureMap,
  ): { modelTopology: Readonly<Record<string, unknown>>; weights: readonly ZooWeight[] } {
    const layers = kerasOrder(this.#layers, output.layer);
    const config = {
      name,
      layers: layers.map((layer) => ({
        class_name: layer.className,
        name: layer.name,
        config: { name: layer.name, trainable: true, ...layer.config },
        inbound_nodes: layer.inputs.length === 0 ? [] : [layer.inputs.map((input) => [input, 0, 0, {}])],
      })),
      input_layers: [[layers[0]?.name, 0, 0]],
      output_layers: [[output.layer, 0, 0]],
    };
    return {
      modelTopology: { class_name: "Model", config, keras_version: "2.1.6", backend: "tensor_flow.js" },
      weights: layers.flatMap((layer) => layer.weights.map((weight) => ({ layer: layer.name, ...weight }))),
    };
  }

  #pooling(
    className: string,
    input: FeatureMap,
    options: WindowOptions & { readonly kernel: number },
  ): FeatureMap {
    const { strides = 1, padding = "valid" } = options;
    const config = {
      pool_size: sides(options.kernel),
      strides: [strides, strides],
      padding,
      data_format: "channels_last",
    };
    const layer = this.#add(className, options, [input], config);
    return { layer, size: windowed(input.size, options), channels: input.channels };
  }

  #add(
    className: string,
    { name }: Named,
    inputs: readonly FeatureMap[],
    config: Readonly<Record<string, unknown>>,
    weights: StackedLayer["weights"] = [],
  ): string {
    const given = name ?? this.#automaticName(className);
    this.#layers.push({
      name: given,
      className,
      config,
      weights,
      inputs: inputs.map(({ layer }) => layer),
    });
    return given;
  }

  /** `conv2d`, `conv2d_1`, …: counted per class, over the layers without a given name. */
  #automaticName(className: string): string {
    const stem = className.replace(/([a-z0-9])([A-Z])(?=[a-z])/g, "$1_$2").toLowerCase();
    const count = this.#named.get(stem) ?? 0;
    this.#named.set(stem, count + 1);
    return count === 0 ? stem : `${stem}_${count}`;
  }
}

const zeros = { class_name: "Zeros", config: {} };

function sides(kernel: Kernel): [number, number] {
  return typeof kernel === "number" ? [kernel, kernel] : [kernel[0], kernel[1]];
}

function windowConfig({ kernel, strides = 1, padding = "valid" }: WindowOptions): Record<string, unknown> {
  return {
    kernel_size: sides(kernel),
    strides: [strides, strides],
    padding,
    data_format: "channels_last",
    dilation_rate: [1, 1],
  };
}

/** Side of the output of a window; kernels that are not square occur only with SAME padding, which keeps outputs square. */
function windowed(size: number, { kernel, strides = 1, padding = "valid" }: WindowOptions): number {
  if (padding === "same") return Math.ceil(size / strides);
  return Math.floor((size - sides(kernel)[0]) / strides) + 1;
}

/** Keras's `correct_pad`: the zeros with which a VALID window of stride 2 equals a SAME one. */
export function correctPad(input: FeatureMap, kernel: number): EdgePadding {
  const half = Math.floor(kernel / 2);
  return [half - (1 - (input.size % 2)), half];
}
