import type { ConvolutionForm } from "./convolution-form.js";
import { activated, type FusedActivation } from "./fused-activation.js";
import {
  isPointwise,
  isStrided,
  kernelGradientPads,
  kernelSize,
  leftOver,
  nodeAttributes,
  perImageFrom,
  pixelsOf,
  type Geometry,
} from "./geometry.js";
import type { Tape, Weight } from "./tape.js";
import { Value } from "../values/value.js";

/** A convolution in plain ONNX: every number of groups, channels, strides and dilations. */
export class PlainConvolution implements ConvolutionForm {
  readonly #tape: Tape;
  readonly #input: Pick<Value, "shape" | "channels" | "isTrained">;
  readonly #kernel: Weight;
  readonly #geometry: Geometry;

  constructor(tape: Tape, input: Value, kernel: Weight, geometry: Geometry) {
    this.#tape = tape;
    this.#input = input;
    this.#kernel = kernel;
    this.#geometry = geometry;
  }

  forward(input: Value, bias: string | undefined, activation: FusedActivation | undefined): Value {
    const tape = this.#tape;
    const { graph } = tape;
    const [outs = 0] = this.#kernel.shape;
    const kernel = tape.viewOf(this.#kernel.value, this.#kernel.shape);
    const attributes = nodeAttributes(this.#geometry);
    const inputs = [tape.plainOf(input), kernel];
    // A bias is added in float32.
    const biased = (offset: string): string =>
      tape.isMixed
        ? graph.node("Add", [
            tape.product("Conv", inputs, attributes),
            graph.reshape(offset, [1, outs, 1, 1]),
          ])
        : graph.node("Conv", [...inputs, offset], attributes);
    const result = bias === undefined ? tape.product("Conv", inputs, attributes) : biased(bias);
    return new Value([tape.batch, this.#kernel.shape[0] ?? 0, ...this.#geometry.output], true, {
      plain: activated(tape, activation, result),
    });
  }

  inputGradient(gradient: Value): Value {
    const tape = this.#tape;
    const geometry = this.#geometry;
    const { groups } = geometry;
    const { shape } = this.#input;
    const dy = tape.plainOf(gradient);
    if (isPointwise(geometry) && !isStrided(geometry) && groups === 1) {
      const [outs = 0, ins = 0] = this.#kernel.shape;
      const swapped = tape.transpose(tape.graph.reshape(this.#kernel.value, [outs, ins]), [1, 0]);
      const kernel = tape.graph.reshape(swapped, [ins, outs, 1, 1]);
      return new Value(shape, true, {
        plain: tape.product("Conv", [dy, kernel], nodeAttributes(geometry)),
      });
    }
    const plain = tape.product("ConvTranspose", [dy, this.#kernel.value], {
      ...nodeAttributes(geometry),
      output_padding: leftOver(geometry),
    });
    return new Value(shape, true, { plain });
  }

  kernelGradient(input: Value, gradient: Value): string {
    const { groups } = this.#geometry;
    if (groups > 1) return this.#groupedKernelGradient(input, gradient);
    return isPointwise(this.#geometry)
      ? this.#product(input, gradient)
      : this.#byConvolution(input, gradient);
  }

  /** For a pointwise convolution: dY · Xᵀ over all pixels of all images. */
  #product(input: Value, gradient: Value): string {
    const tape = this.#tape;
    const { graph, batch } = tape;
    const { shape } = this.#kernel;
    const [outs = 0, ins = 0] = shape;
    const pixels = pixelsOf(this.#geometry.output);
    const x = this.#thinned(tape.plainOf(input));
    const dy = tape.plainOf(gradient);
    if (pixels >= perImageFrom) {
      const operands = [graph.reshape(dy, [batch, outs, pixels]), graph.reshape(x, [batch, ins, pixels])];
      const products = tape.product("FusedMatMul", operands, { transB: 1 });
      return graph.reshape(tape.sumOver(products, [0]), shape);
    }
    const rows = (value: string, channels: number): string =>
      pixels === 1
        ? graph.reshape(value, [batch, channels])
        : graph.reshape(tape.transpose(value, [1, 0, 2, 3]), [channels, -1]);
    const product = tape.product(
      "Gemm",
      [rows(dy, outs), rows(x, ins)],
      pixels === 1 ? { transA: 1 } : { transB: 1 },
    );
    return graph.reshape(product, shape);
  }

  /** The pixels that a strided pointwise convolution reads. */
  #thinned(x: string): string {
    if (!isStrided(this.#geometry)) return x;
    const { graph } = this.#tape;
    const { strides, input } = this.#geometry;
    return graph.node("Slice", [
      x,
      graph.int64s([0, 0]),
      graph.int64s(input),
      graph.int64s([2, 3]),
      graph.int64s(strides),
    ]);
  }

  /** The batch as channels: X of [C, N, H, W], dY of [O, N, Ho, Wo]. */
  #byConvolution(input: Value, gradient: Value): string {
    const tape = this.#tape;
    const swap = (value: string): string => tape.transpose(value, [1, 0, 2, 3]);
    const result = tape.product("Conv", [swap(this.#padded(input)), swap(tape.plainOf(gradient))], {
      ...this.#swappedAttributes(),
      group: 1,
    });
    return swap(result);
  }

  /**
   * Every pair of an input and an output channel of a group, in each image: X as [C / g, N · g, H, W], dY as
   * [N · O, 1, Ho, Wo], N · g groups; summed over the images.
   */
  #groupedKernelGradient(input: Value, gradient: Value): string {
    const tape = this.#tape;
    const { graph, batch } = tape;
    const { groups, output, kernel } = this.#geometry;
    const [outs = 0, insOfGroup = 0] = this.#kernel.shape;
    const padded = this.#padded(input);
    const [top, left, bottom, right] = kernelGradientPads(this.#geometry);
    const size = [this.#geometry.input[0] + top + bottom, this.#geometry.input[1] + left + right] as const;
    const byPlace = graph.reshape(
      tape.transpose(graph.reshape(padded, [batch * groups, insOfGroup, ...size]), [1, 0, 2, 3]),
      [insOfGroup, batch * groups, ...size],
    );
    const kernels = graph.reshape(tape.plainOf(gradient), [batch * outs, 1, ...output]);
    const pairs = tape.product("Conv", [byPlace, kernels], {
      ...this.#swappedAttributes(),
      group: batch * groups,
    });
    const summed = tape.sumOver(
      graph.reshape(pairs, [insOfGroup, batch, outs, kernelSize(this.#geometry)]),
      [1],
    );
    return graph.reshape(tape.transpose(summed, [1, 0, 2]), [outs, insOfGroup, ...kernel]);
  }

  /** Stride and dilation change places, see {@link kernelGradientPads}. */
  #swappedAttributes() {
    const { strides, dilations, output } = this.#geometry;
    return {
      kernel_shape: [...output],
      strides: [...dilations],
      dilations: [...strides],
      pads: [0, 0, 0, 0],
    };
  }

  #padded(input: Value): string {
    const { graph } = this.#tape;
    const [top, left, bottom, right] = kernelGradientPads(this.#geometry);
    const x = this.#tape.plainOf(input);
    if (top === 0 && left === 0 && bottom === 0 && right === 0) return x;
    return graph.node("Pad", [x, graph.int64s([0, 0, top, left, 0, 0, bottom, right])]);
  }
}
