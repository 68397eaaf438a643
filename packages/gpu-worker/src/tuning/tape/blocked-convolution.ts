import {
  denseKernelGradient,
  depthwiseKernelGradient,
  pointwiseKernelGradient,
  stemKernelGradient,
} from "./blocked-kernel-gradients.js";
import {
  blockedDepthwise,
  blockedKernel,
  blockedStem,
  turnedDepthwise,
  turnedKernel,
} from "./blocked-kernels.js";
import type { ConvolutionForm } from "./convolution-form.js";
import { activationAttributes, type FusedActivation } from "./fused-activation.js";
import { isPointwise, isStrided, kernelSize, nodeAttributes, turned, type Geometry } from "./geometry.js";
import type { Tape, Weight } from "./tape.js";
import { Value } from "../values/value.js";

type Kind = "dense" | "depthwise" | "stem";

/** A convolution in the runtime's blocked layout: dense, depthwise, or one of an image of fewer channels than a block. */
export class BlockedConvolution implements ConvolutionForm {
  readonly #tape: Tape;
  readonly #kind: Kind;
  readonly #kernel: Weight;
  readonly #geometry: Geometry;
  readonly #inputShape: readonly number[];

  /** @returns undefined where the layout has no form for it, whose gradients included */
  static find(tape: Tape, input: Value, kernel: Weight, geometry: Geometry): BlockedConvolution | undefined {
    const [outs = 0] = kernel.shape;
    const { groups } = geometry;
    const { channels } = input;
    if (!tape.fitsBlocks(outs) || input.shape.length !== 4) return undefined;
    const isDepthwise = groups > 1 && groups === channels && groups === outs;
    if (groups > 1 && !isDepthwise) return undefined;
    const isStem = groups === 1 && channels < tape.block && !input.isTrained;
    if (!isStem && !tape.fitsBlocks(channels)) return undefined;
    const kind = isStem ? "stem" : isDepthwise ? "depthwise" : "dense";
    if (input.isTrained && turned(geometry) === undefined) return undefined;
    // Its kernel gradient takes the images as channels.
    if (kind === "dense" && kernel.isTrained && !isPointwise(geometry) && !tape.fitsBlocks(tape.batch))
      return undefined;
    return new BlockedConvolution(tape, kind, input, kernel, geometry);
  }

  private constructor(tape: Tape, kind: Kind, input: Value, kernel: Weight, geometry: Geometry) {
    this.#tape = tape;
    this.#kind = kind;
    this.#kernel = kernel;
    this.#geometry = geometry;
    this.#inputShape = input.shape;
  }

  forward(input: Value, bias: string | undefined, activation: FusedActivation | undefined): Value {
    const tape = this.#tape;
    const x = this.#kind === "stem" ? tape.plainOf(input) : tape.blockedOf(input);
    const inputs = [x, this.#blocked(), ...(bias === undefined ? [] : [bias])];
    const blocked = tape.blockedNode("Conv", inputs, {
      ...nodeAttributes(this.#geometry),
      ...activationAttributes(activation),
    });
    return new Value([tape.batch, this.#kernel.shape[0] ?? 0, ...this.#geometry.output], true, { blocked });
  }

  inputGradient(gradient: Value): Value {
    const tape = this.#tape;
    const { graph } = tape;
    const [outs = 0, ins = 0, ...window] = this.#kernel.shape;
    const { groups, dilations, kernel } = this.#geometry;
    const place = turned(this.#geometry);
    const size = kernelSize(this.#geometry);
    const isDepthwise = this.#kind === "depthwise";
    const weights = isDepthwise
      ? graph.reshape(turnedDepthwise(tape, this.#kernel.value, outs, size), this.#kernel.shape)
      : graph.reshape(turnedKernel(tape, this.#kernel.value, [outs, ins, size]), [ins, outs, ...window]);
    const convolved = (dy: string, pads: readonly number[]): string =>
      tape.blockedNode("Conv", [dy, weights], {
        ...{ kernel_shape: [...kernel], strides: [1, 1], dilations: [...dilations] },
        ...{ pads: [...pads], group: isDepthwise ? groups : 1 },
      });
    const [, channels = 0, height = 0, width = 0] = this.#inputShape;
    const dy = tape.blockedOf(gradient);
    // A pointwise one is computed before the zeros are put in between.
    const blocked =
      isPointwise(this.#geometry) && isStrided(this.#geometry)
        ? this.#apart(convolved(dy, [0, 0, 0, 0]), channels, [height, width])
        : convolved(this.#apart(dy, outs, place?.lengths ?? [0, 0]), place?.pads ?? [0, 0, 0, 0]);
    return new Value(this.#inputShape, true, { blocked });
  }

  kernelGradient(input: Value, gradient: Value): string {
    const operands = {
      tape: this.#tape,
      shape: this.#kernel.shape,
      geometry: this.#geometry,
      input,
      gradient,
    };
    if (this.#kind === "stem") return stemKernelGradient(operands);
    if (this.#kind === "depthwise") return depthwiseKernelGradient(operands);
    return isPointwise(this.#geometry) ? pointwiseKernelGradient(operands) : denseKernelGradient(operands);
  }

  #blocked(): string {
    const tape = this.#tape;
    const [outs = 0, ins = 0] = this.#kernel.shape;
    const size = kernelSize(this.#geometry);
    const { value, shape } = this.#kernel;
    if (this.#kind === "stem") return tape.graph.reshape(blockedStem(tape, value, outs, ins * size), shape);
    if (this.#kind === "depthwise")
      return tape.graph.reshape(blockedDepthwise(tape, value, outs, size), shape);
    return tape.graph.reshape(blockedKernel(tape, value, [outs, ins, size]), shape);
  }

  /** With zeros between the pixels, one less than the stride, cut to a size. @returns [N, channels, …size] */
  #apart(value: string, channels: number, size: readonly [number, number]): string {
    const { graph, batch, block } = this.#tape;
    const { strides, output } = this.#geometry;
    if (!isStrided(this.#geometry)) return value;
    const [height, width] = output;
    const rows = graph.reshape(value, [((batch * channels) / block) * height, 1, width, block]);
    const zeros = [0, 0, 0, 0, 0, strides[0] - 1, 0, (strides[1] - 1) * block];
    const [high, wide] = [height * strides[0], width * strides[1]];
    let apart = graph.node("Pad", [rows, graph.int64s(zeros)]);
    if (high > size[0] || wide > size[1]) {
      const maps = graph.reshape(apart, [(batch * channels) / block, high, wide * block]);
      const ends = graph.int64s([size[0], size[1] * block]);
      apart = graph.node("Slice", [maps, graph.int64s([0, 0]), ends, graph.int64s([1, 2])]);
    }
    return graph.reshape(apart, [batch, channels, ...size]);
  }
}
