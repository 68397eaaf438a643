import { kerasOrder, type GraphLayer } from "./keras-order.js";

/** One weight of a network. */
export interface ZooWeight {
  readonly layer: string;
  /** kernel, bias, gamma, beta, moving_mean, moving_variance, depthwise_kernel or pointwise_kernel. */
  readonly name: string;
  readonly shape: readonly number[];
}

/** What a layer gives: a square picture. */
export interface Picture {
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
  /** @default Keras's automatic name: the class in snake case, and from the second such layer on a number */
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
 * Builds a functional Keras model layer by layer: the shapes are followed, the weights noted and the names made as
 * Keras makes them. Nothing is computed. Weights are made of zeros when such a model is loaded: all are given later.
 */
export class LayerStack {
  readonly #layers: StackedLayer[] = [];
  readonly #named = new Map<string, number>();

  input(size: number): Picture {
    const config = { batch_input_shape: [null, size, size, 3], dtype: "float32", sparse: false };
    return { layer: this.#add("InputLayer", { name: "input_1" }, [], config), size, channels: 3 };
  }

  zeroPadding(input: Picture, options: Named & { readonly padding: EdgePadding }): Picture {
    const [before, after] = options.padding;
    const config = { padding: [options.padding, options.padding], data_format: "channels_last" };
    const layer = this.#add("ZeroPadding2D", options, [input], config);
    return { layer, size: input.size + before + after, channels: input.channels };
  }

  convolution(input: Picture, options: ConvolutionOptions): Picture {
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

  depthwiseConvolution(input: Picture, options: WindowOptions): Picture {
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

  separableConvolution(input: Picture, options: WindowOptions & { readonly filters: number }): Picture {
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
    input: Picture,
    options: Named & { readonly epsilon?: number; readonly scale?: boolean } = {},
  ): Picture {
    const scale = options.scale ?? true;
    const config = { axis: 3, epsilon: options.epsilon ?? 1e-3, center: true, scale };
    const names = [...(scale ? ["gamma"] : []), "beta", "moving_mean", "moving_variance"];
    const weights = names.map((name) => ({ name, shape: [input.channels] }));
    return { ...input, layer: this.#add("BatchNormalization", options, [input], config, weights) };
  }

  activation(input: Picture, options: Named & { readonly activation: string }): Picture {
    const { activation } = options;
    return { ...input, layer: this.#add("Activation", options, [input], { activation }) };
  }

  relu6(input: Picture, options: Named): Picture {
    return { ...input, layer: this.#add("ReLU", options, [input], { max_value: 6 }) };
  }

  maxPooling(input: Picture, options: Omit<WindowOptions, "kernel"> & { readonly kernel: number }): Picture {
    return this.#pooling("MaxPooling2D", input, options);
  }

  averagePooling(
    input: Picture,
    options: Omit<WindowOptions, "kernel"> & { readonly kernel: number },
  ): Picture {
    return this.#pooling("AveragePooling2D", input, options);
  }

  /** One number per channel, as a picture of one pixel whose layer gives [N, C]. */
  globalPooling(input: Picture, options: Named & { readonly pooling: "average" | "max" }): Picture {
    const className = options.pooling === "average" ? "GlobalAveragePooling2D" : "GlobalMaxPooling2D";
    const layer = this.#add(className, options, [input], { data_format: "channels_last" });
    return { layer, size: 1, channels: input.channels };
  }

  /** Gives a globally pooled [N, C] its height and width again. */
  asPixel(input: Picture, options: Named): Picture {
    const config = { target_shape: [1, 1, input.channels] };
    return { ...input, layer: this.#add("Reshape", options, [input], config) };
  }

  add(inputs: readonly [Picture, Picture], options: Named = {}): Picture {
    return { ...inputs[0], layer: this.#add("Add", options, inputs, {}) };
  }

  multiply(inputs: readonly [Picture, Picture], options: Named): Picture {
    return { ...inputs[0], layer: this.#add("Multiply", options, inputs, {}) };
  }

  concatenate(inputs: readonly [Picture, ...Picture[]], options: Named = {}): Picture {
    const layer = this.#add("Concatenate", options, inputs, { axis: 3 });
    return { ...inputs[0], layer, channels: inputs.reduce((sum, { channels }) => sum + channels, 0) };
  }

  /** The model that ends in `output`: its topology as Keras 2 writes it, and its weights, both in Keras's order. */
  finish(
    name: string,
    output: Picture,
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

  #pooling(className: string, input: Picture, options: WindowOptions & { readonly kernel: number }): Picture {
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
    inputs: readonly Picture[],
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

  /** `conv2d`, `conv2d_1`, …: counted per class, over the layers that got no name. */
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

/** Side of what a window gives; kernels that are not square are used with SAME padding only, which keeps squares square. */
function windowed(size: number, { kernel, strides = 1, padding = "valid" }: WindowOptions): number {
  if (padding === "same") return Math.ceil(size / strides);
  return Math.floor((size - sides(kernel)[0]) / strides) + 1;
}

/** Keras's `correct_pad`: the zeros that make a VALID window of stride 2 see what a SAME one sees. */
export function correctPad(input: Picture, kernel: number): EdgePadding {
  const half = Math.floor(kernel / 2);
  return [half - (1 - (input.size % 2)), half];
}
