import { SeededRandom } from "@trommel/common";
import { cutAt, type CutLayers } from "#gpu-worker/backbone/layers/cut-layers";
import { readLayersModel } from "#gpu-worker/backbone/layers/layers-model";
import { layersFiles } from "../models/layers-files.js";

type Config = Readonly<Record<string, unknown>>;

/**
 * A layers model drawn up layer by layer, with seeded weights that keep activations near one. Every method adds one layer and
 * returns its name, which is the type with a number.
 */
export class NetworkSketch {
  readonly inputSize: number;
  readonly input = "input";
  readonly #random: SeededRandom;
  readonly #layers: object[];
  readonly #weights: {
    readonly name: string;
    readonly shape: readonly number[];
    readonly values: Float32Array;
  }[] = [];
  #last = "input";

  constructor(inputSize: number) {
    this.inputSize = inputSize;
    this.#random = new SeededRandom(inputSize);
    const config = { name: "input", batch_input_shape: [null, inputSize, inputSize, 3] };
    this.#layers = [{ class_name: "InputLayer", name: "input", config, inbound_nodes: [] }];
  }

  /** A layer without weights. */
  add(type: string, inputs: string | readonly string[], config: Config = {}): string {
    const name = `${type.toLowerCase()}_${this.#layers.length}`;
    const inbound = [inputs].flat().map((from) => [from, 0, 0, {}]);
    this.#layers.push({ class_name: type, name, config: { name, ...config }, inbound_nodes: [inbound] });
    this.#last = name;
    return name;
  }

  /** @param shape [channels in, channels out] @param size of the window, or its height and width */
  convolution(
    input: string,
    [ins, outs]: readonly [number, number],
    size: number | readonly [number, number],
    config: Config = {},
  ): string {
    const [height, width] = typeof size === "number" ? [size, size] : size;
    const shape = { filters: outs, kernel_size: [height, width] };
    const name = this.add("Conv2D", input, { ...shape, padding: "same", ...config });
    this.#kernel(`${name}/kernel`, [height, width, ins, outs], height * width * ins);
    this.#bias(name, outs, config);
    return name;
  }

  depthwise(input: string, channels: number, size: number, config: Config = {}): string {
    const multiplier = (config["depth_multiplier"] as number | undefined) ?? 1;
    const name = this.add("DepthwiseConv2D", input, { kernel_size: size, padding: "same", ...config });
    this.#kernel(`${name}/depthwise_kernel`, [size, size, channels, multiplier], size * size);
    this.#bias(name, channels * multiplier, config);
    return name;
  }

  separable(
    input: string,
    [ins, outs]: readonly [number, number],
    size: number,
    config: Config = {},
  ): string {
    const name = this.add("SeparableConv2D", input, {
      filters: outs,
      kernel_size: size,
      padding: "same",
      ...config,
    });
    this.#kernel(`${name}/depthwise_kernel`, [size, size, ins, 1], size * size);
    this.#kernel(`${name}/pointwise_kernel`, [1, 1, ins, outs], ins);
    this.#bias(name, outs, config);
    return name;
  }

  dense(input: string, [ins, outs]: readonly [number, number], config: Config = {}): string {
    const name = this.add("Dense", input, { units: outs, ...config });
    this.#kernel(`${name}/kernel`, [ins, outs], ins);
    this.#bias(name, outs, config);
    return name;
  }

  normalization(input: string, channels: number, config: Config = {}): string {
    const name = this.add("BatchNormalization", input, { axis: -1, epsilon: 1e-3, ...config });
    const draw = (weight: string, centre: number, spread: number): void => {
      this.#weight(`${name}/${weight}`, [channels], () =>
        this.#random.uniform(centre - spread, centre + spread),
      );
    };
    if (config["scale"] !== false) draw("gamma", 1, 0.4);
    if (config["center"] !== false) draw("beta", 0.1, 0.3);
    draw("moving_mean", 0, 0.2);
    draw("moving_variance", 1, 0.4);
    return name;
  }

  /** The layers as an import reads them, up to the last one added. */
  async cut(): Promise<CutLayers> {
    const config = {
      layers: this.#layers,
      input_layers: [["input", 0, 0]],
      output_layers: [[this.#last, 0, 0]],
    };
    const specs = this.#weights.map(({ name, shape }) => ({ name, shape, dtype: "float32" }));
    const bytes = Buffer.concat(this.#weights.map(({ values }) => Buffer.from(values.buffer)));
    const { modelJson, readFile } = layersFiles({ class_name: "Model", config }, specs, bytes);
    return cutAt(await readLayersModel(modelJson, readFile));
  }

  #bias(layer: string, outs: number, config: Config): void {
    if (config["use_bias"] !== false)
      this.#weight(`${layer}/bias`, [outs], () => 0.2 * this.#random.normal());
  }

  /** He et al. 2015. */
  #kernel(name: string, shape: readonly number[], fanIn: number): void {
    this.#weight(name, shape, () => this.#random.normal() * Math.sqrt(2 / fanIn));
  }

  #weight(name: string, shape: readonly number[], draw: () => number): void {
    const count = shape.reduce((product, size) => product * size, 1);
    this.#weights.push({ name, shape, values: Float32Array.from({ length: count }, draw) });
  }
}
