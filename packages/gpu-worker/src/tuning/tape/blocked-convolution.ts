import {
  blockedDepthwise,
  blockedKernel,
  blockedStem,
  turnedDepthwise,
  turnedKernel,
} from "./blocked-kernels.js";
import type { ConvolutionForm } from "./convolution.js";
import { activationAttributes, type FusedActivation } from "./fused-activation.js";
import {
  isPointwise,
  isStrided,
  kernelGradientPads,
  kernelSize,
  nodeAttributes,
  pixelsOf,
  turned,
  type Geometry,
} from "./geometry.js";
import { Value, type Tape, type Weight } from "./tape.js";

type Kind = "dense" | "depthwise" | "stem";

/** From this many pixels on a product per image is faster than one product over the whole batch. */
const perImageFrom = 784;

const still = { strides: [1, 1], dilations: [1, 1], group: 1, pads: [0, 0, 0, 0] } as const;

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
    if (this.#kind === "stem") return this.#stemKernelGradient(input, gradient);
    if (this.#kind === "depthwise") return this.#depthwiseKernelGradient(input, gradient);
    return isPointwise(this.#geometry)
      ? this.#pointwiseKernelGradient(input, gradient)
      : this.#denseKernelGradient(input, gradient);
  }

  #blocked(): string {
    const tape = this.#tape;
    const [outs = 0, ins = 0] = this.#kernel.shape;
    const size = kernelSize(this.#geometry);
    const { value, shape } = this.#kernel;
    if (this.#kind === "stem") return tape.graph.reshape(blockedStem(tape, value, outs, ins * size), shape);
    if (this.#kind === "depthwise") return tape.graph.reshape(blockedDepthwise(tape, value, outs, size), shape);
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

  #pointwiseKernelGradient(input: Value, gradient: Value): string {
    const tape = this.#tape;
    const { graph, batch, block } = tape;
    const { output, strides } = this.#geometry;
    const [outs = 0, ins = 0] = this.#kernel.shape;
    const pixels = pixelsOf(output);
    const x = isStrided(this.#geometry)
      ? tape.blockedNode("MaxPool", [tape.blockedOf(input)], {
          ...{ kernel_shape: [1, 1], strides: [...strides], pads: [0, 0, 0, 0], dilations: [1, 1] },
          ...{ ceil_mode: 0, storage_order: 0 },
        })
      : tape.blockedOf(input);
    const dy = tape.blockedOf(gradient);
    if (pixels >= perImageFrom) {
      const plain = (value: string, channels: number): string =>
        graph.reshape(tape.blockedNode("ReorderOutput", [value], { channels }), [batch, channels, pixels]);
      const products = tape.runtimeNode("FusedMatMul", [plain(dy, outs), plain(x, ins)], { transB: 1 });
      return graph.reshape(tape.sumOver(products, [0]), this.#kernel.shape);
    }
    // [N, A / b, pixels, b] to [A, N · pixels]: whole blocks are moved, then each is unblocked.
    const rows = (value: string, channels: number): string => {
      const byBlock = tape.transpose(graph.reshape(value, [batch, channels / block, pixels * block]), [1, 0, 2]);
      const blocks = graph.reshape(byBlock, [channels / block, block, batch, pixels]);
      const plain = tape.blockedNode("ReorderOutput", [blocks], { channels: block });
      return graph.reshape(plain, [channels, batch * pixels]);
    };
    const product = graph.node("Gemm", [rows(dy, outs), rows(x, ins)], { transB: 1 });
    return graph.reshape(product, this.#kernel.shape);
  }

  /** X as [1, N · C, H, W], dY as one kernel for each image and channel, with the stride as dilation; summed over the images. */
  #depthwiseKernelGradient(input: Value, gradient: Value): string {
    const tape = this.#tape;
    const { graph, batch, block } = tape;
    const { strides, dilations, output } = this.#geometry;
    const [channels = 0] = this.#kernel.shape;
    const size = kernelSize(this.#geometry);
    const all = batch * channels;
    const { maps, pads } = this.#paddedMaps(tape.blockedOf(input), all);
    const sums = tape.blockedNode("Conv", [maps, graph.reshape(tape.blockedOf(gradient), [all, 1, ...output])], {
      ...{ kernel_shape: [...output], strides: [...dilations], dilations: [...strides] },
      ...{ pads: [...pads], group: all },
    });
    const summed = tape.sumOver(graph.reshape(sums, [batch, (channels / block) * size * block]), [0]);
    const canonical = tape.transpose(graph.reshape(summed, [channels / block, size, block]), [0, 2, 1]);
    return graph.reshape(canonical, this.#kernel.shape);
  }

  /** Cuts off what no window reached; zeros are left to the convolution. */
  #paddedMaps(value: string, all: number): { readonly maps: string; readonly pads: readonly number[] } {
    const { graph, block } = this.#tape;
    const pads = kernelGradientPads(this.#geometry);
    const [height, width] = this.#geometry.input;
    if (pads.every((pad) => pad >= 0)) return { maps: graph.reshape(value, [1, all, height, width]), pads };
    const [bottom, right] = [Math.min(pads[2], 0), Math.min(pads[3], 0)];
    const rows = graph.reshape(value, [all / block, height, width * block]);
    const cut = graph.node("Pad", [rows, graph.int64s([0, 0, 0, 0, bottom, right * block])]);
    return {
      maps: graph.reshape(cut, [1, all, height + bottom, width + right]),
      pads: pads.map((pad) => Math.max(pad, 0)),
    };
  }

  /** The images as blocked channels: X, padded, as [C, N, H, W], and dY as a kernel [O, N, Ho, Wo]. */
  #denseKernelGradient(input: Value, gradient: Value): string {
    const tape = this.#tape;
    const { graph, batch, block } = tape;
    const { strides, dilations, output } = this.#geometry;
    const [height, width] = this.#geometry.input;
    const [outs = 0, ins = 0] = this.#kernel.shape;
    const pixels = pixelsOf(output);
    const byOuts = tape.transpose(
      graph.reshape(tape.blockedOf(gradient), [batch, outs / block, pixels * block]),
      [1, 0, 2],
    );
    const kernels = tape.blockedNode(
      "ReorderOutput",
      [graph.reshape(byOuts, [((outs / block) * batch) / block, block * block, ...output])],
      { channels: block * block, channels_last: 1 },
    );
    const plain = tape.blockedNode("ReorderOutput", [tape.blockedOf(input)], { channels: ins });
    const byImages = tape.blockedNode("ReorderInput", [
      graph.reshape(plain, [1, batch, 1, ins * height * width]),
    ]);
    const ofBlocks = graph.reshape(byImages, [batch / block, ins, height * width * block]);
    const [top, left, bottom, right] = kernelGradientPads(this.#geometry);
    const padded = graph.node("Pad", [
      graph.reshape(tape.transpose(ofBlocks, [1, 0, 2]), [(ins * batch) / block, height, width * block]),
      graph.int64s([0, top, left * block, 0, bottom, right * block]),
    ]);
    const result = tape.blockedNode(
      "Conv",
      [
        graph.reshape(padded, [ins, batch, height + top + bottom, width + left + right]),
        graph.reshape(kernels, [outs, batch, ...output]),
      ],
      { ...still, kernel_shape: [...output], strides: [...dilations], dilations: [...strides] },
    );
    const parts = graph.reshape(result, [ins, outs / block, kernelSize(this.#geometry), block]);
    return graph.reshape(tape.transpose(parts, [1, 3, 0, 2]), this.#kernel.shape);
  }

  /** Every window's pixels by a convolution that copies one of them for each output channel, then a product per image. */
  #stemKernelGradient(input: Value, gradient: Value): string {
    const tape = this.#tape;
    const { graph, batch, block } = tape;
    const [outs = 0, ins = 0, ...window] = this.#kernel.shape;
    const taps = ins * kernelSize(this.#geometry);
    const rows = Math.ceil(taps / block) * block;
    const copies = new Float32Array(rows * taps);
    for (let tap = 0; tap < taps; tap += 1) {
      copies[Math.floor(tap / block) * taps * block + tap * block + (tap % block)] = 1;
    }
    const copying = graph.constant("windows", "float32", [rows, ins, ...window], copies);
    const windows = tape.blockedNode("Conv", [tape.plainOf(input), copying], nodeAttributes(this.#geometry));
    const pixels = pixelsOf(this.#geometry.output);
    const flat = tape.blockedNode("ReorderOutput", [windows], { channels: rows });
    const products = tape.runtimeNode(
      "FusedMatMul",
      [
        graph.reshape(tape.plainOf(gradient), [batch, outs, pixels]),
        graph.reshape(flat, [batch, rows, pixels]),
      ],
      { transB: 1 },
    );
    const summed = tape.sumOver(products, [0]);
    const cut = graph.node("Slice", [summed, graph.int64s([0]), graph.int64s([taps]), graph.int64s([1])]);
    return graph.reshape(cut, this.#kernel.shape);
  }
}
