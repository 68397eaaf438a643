import {
  isStrided,
  kernelGradientPads,
  kernelSize,
  nodeAttributes,
  perImageFrom,
  pixelsOf,
  type Geometry,
} from "./geometry.js";
import type { Tape } from "./tape.js";
import type { Value } from "../values/value.js";

/** What a kernel's gradient in the blocked layout is computed from. */
interface Operands {
  readonly tape: Tape;
  /** The kernel's: [O, C / groups, kh, kw]. */
  readonly shape: readonly number[];
  readonly geometry: Geometry;
  readonly input: Value;
  /** The output's. */
  readonly gradient: Value;
}

const still = { strides: [1, 1], dilations: [1, 1], group: 1, pads: [0, 0, 0, 0] } as const;

export function pointwiseKernelGradient({ tape, shape, geometry, input, gradient }: Operands): string {
  const { graph, batch, block } = tape;
  const { output, strides } = geometry;
  const [outs = 0, ins = 0] = shape;
  const pixels = pixelsOf(output);
  const x = isStrided(geometry)
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
    return graph.reshape(tape.sumOver(products, [0]), shape);
  }
  // [N, A / b, pixels, b] to [A, N · pixels]: whole blocks are moved, then each is unblocked.
  const rows = (value: string, channels: number): string => {
    const byBlock = tape.transpose(
      graph.reshape(value, [batch, channels / block, pixels * block]),
      [1, 0, 2],
    );
    const blocks = graph.reshape(byBlock, [channels / block, block, batch, pixels]);
    const plain = tape.blockedNode("ReorderOutput", [blocks], { channels: block });
    return graph.reshape(plain, [channels, batch * pixels]);
  };
  const product = graph.node("Gemm", [rows(dy, outs), rows(x, ins)], { transB: 1 });
  return graph.reshape(product, shape);
}

/** X as [1, N · C, H, W], dY as one kernel for each image and channel, with the stride as dilation; summed over the images. */
export function depthwiseKernelGradient({ tape, shape, geometry, input, gradient }: Operands): string {
  const { graph, batch, block } = tape;
  const { strides, dilations, output } = geometry;
  const [channels = 0] = shape;
  const size = kernelSize(geometry);
  const all = batch * channels;
  const { maps, pads } = paddedMaps(tape, geometry, tape.blockedOf(input));
  const sums = tape.blockedNode(
    "Conv",
    [maps, graph.reshape(tape.blockedOf(gradient), [all, 1, ...output])],
    {
      ...{ kernel_shape: [...output], strides: [...dilations], dilations: [...strides] },
      ...{ pads: [...pads], group: all },
    },
  );
  const summed = tape.sumOver(graph.reshape(sums, [batch, (channels / block) * size * block]), [0]);
  const canonical = tape.transpose(graph.reshape(summed, [channels / block, size, block]), [0, 2, 1]);
  return graph.reshape(canonical, shape);
}

/** Cuts off what no window reached; zeros are left to the convolution. */
function paddedMaps(
  tape: Tape,
  geometry: Geometry,
  value: string,
): { readonly maps: string; readonly pads: readonly number[] } {
  const { graph, block, batch } = tape;
  const all = batch * geometry.groups;
  const pads = kernelGradientPads(geometry);
  const [height, width] = geometry.input;
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
export function denseKernelGradient({ tape, shape, geometry, input, gradient }: Operands): string {
  const { graph, batch, block } = tape;
  const { strides, dilations, output } = geometry;
  const [height, width] = geometry.input;
  const [outs = 0, ins = 0] = shape;
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
  const [top, left, bottom, right] = kernelGradientPads(geometry);
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
  const parts = graph.reshape(result, [ins, outs / block, kernelSize(geometry), block]);
  return graph.reshape(tape.transpose(parts, [1, 3, 0, 2]), shape);
}

/** Every window's pixels by a convolution that copies one of them for each output channel, then a product per image. */
export function stemKernelGradient({ tape, shape, geometry, input, gradient }: Operands): string {
  const { graph, batch, block } = tape;
  const [outs = 0, ins = 0, ...window] = shape;
  const taps = ins * kernelSize(geometry);
  const rows = Math.ceil(taps / block) * block;
  const copies = new Float32Array(rows * taps);
  for (let tap = 0; tap < taps; tap += 1) {
    copies[Math.floor(tap / block) * taps * block + tap * block + (tap % block)] = 1;
  }
  const copying = graph.constant("windows", "float32", [rows, ins, ...window], copies);
  const windows = tape.blockedNode("Conv", [tape.plainOf(input), copying], nodeAttributes(geometry));
  const pixels = pixelsOf(geometry.output);
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
  return graph.reshape(cut, shape);
}
