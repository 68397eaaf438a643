import type { Tape } from "./tape.js";
import { Value } from "../values/value.js";
import { activated, activationAttributes, type FusedActivation } from "./fused-activation.js";

/**
 * The passes over whole maps that normalisation, squeeze-and-excitation, biases and pooling are made of, in either layout.
 * In the blocked one they are convolutions of the runtime whose kernels are values: a product per channel is a depthwise
 * 1×1 kernel, and a sum of products a kernel as large as the map.
 */

const pointwise = {
  kernel_shape: [1, 1],
  strides: [1, 1],
  dilations: [1, 1],
  pads: [0, 0, 0, 0],
} as const;

/** Sum over the pixels of each image and channel, float32 [N, C]. */
export function sumsOf(tape: Tape, value: Value): string {
  const { graph, batch } = tape;
  if (value.shape.length === 2) return tape.plainOf(value);
  if (!value.isBlocked) return tape.sumOver(tape.plainOf(value), [2, 3]);
  const means = tape.blockedNode("GlobalAveragePool", [tape.blockedOf(value)]);
  return tape.times(graph.reshape(means, [batch, value.channels]), tape.scalar(value.pixels));
}

/** Sum over the pixels of each image and channel of the products of two values, float32 [N, C]. */
export function productSumsOf(tape: Tape, a: Value, b: Value): string {
  const { graph, batch } = tape;
  const [, channels = 0, height = 1, width = 1] = a.shape;
  const isBlocked = tape.canBlock(a) && (a.isBlocked || b.isBlocked);
  if (!isBlocked) {
    const products = tape.times(tape.plainOf(a), tape.plainOf(b));
    return a.shape.length === 2 ? products : tape.sumOver(products, [2, 3]);
  }
  const all = batch * channels;
  const sums = tape.blockedNode(
    "Conv",
    [
      graph.reshape(tape.blockedOf(a), [1, all, height, width]),
      graph.reshape(tape.blockedOf(b), [all, 1, height, width]),
    ],
    { ...pointwise, kernel_shape: [height, width], group: all },
  );
  return graph.reshape(sums, [batch, channels]);
}

/** One number for each channel [C], or for each image and channel [N, C]. */
export interface PerChannel {
  readonly name: string;
  readonly perImage: boolean;
}

export const perChannel = (name: string): PerChannel => ({ name, perImage: false });
export const perImage = (name: string): PerChannel => ({ name, perImage: true });

export interface AffinePass {
  readonly scale: PerChannel;
  /** Has the same kind as `scale`. */
  readonly shift?: PerChannel | undefined;
  /** Added to the result, before the activation. */
  readonly plus?: Value | undefined;
  readonly activation?: FusedActivation | undefined;
}

/** activation(value · scale + shift + plus). */
export function affine(tape: Tape, value: Value, { scale, shift, plus, activation }: AffinePass): Value {
  const { graph, batch } = tape;
  const isTrained = value.isTrained;
  const [, channels = 0, height = 1, width = 1] = value.shape;
  if (tape.canBlock(value) && (value.isBlocked || plus?.isBlocked === true)) {
    const [images, all] = scale.perImage ? [1, batch * channels] : [batch, channels];
    const map = (name: string): string => graph.reshape(name, [images, all, height, width]);
    const inputs = [
      map(tape.blockedOf(value)),
      graph.reshape(tape.late(scale.name), [all, 1, 1, 1]),
      ...(shift === undefined && plus === undefined
        ? []
        : [shift === undefined ? "" : graph.reshape(shift.name, [all])]),
      ...(plus === undefined ? [] : [map(tape.blockedOf(plus))]),
    ];
    const attributes = { ...pointwise, group: all, ...activationAttributes(activation) };
    const result = tape.blockedNode("Conv", inputs, attributes);
    return new Value(value.shape, isTrained, { blocked: graph.reshape(result, [...value.shape]) });
  }
  const spread = ({ name, perImage: ofImage }: PerChannel): string =>
    value.shape.length === 2 ? name : graph.reshape(name, [ofImage ? batch : 1, channels, 1, 1]);
  let result = tape.times(tape.plainOf(value), spread({ ...scale, name: tape.late(scale.name) }));
  if (shift !== undefined) result = graph.node("Add", [result, spread(shift)]);
  if (plus !== undefined) result = graph.node("Add", [result, tape.plainOf(plus)]);
  return new Value(value.shape, isTrained, { plain: activated(tape, activation, result) });
}

/** A value that has one number everywhere in an image's channel. @param name float32 [N, C] */
export function spreadOver(tape: Tape, name: string, like: Value): Value {
  const { graph, batch, block } = tape;
  const [, channels = 0, height = 1, width = 1] = like.shape;
  if (like.shape.length === 2) return new Value(like.shape, true, { plain: name });
  if (like.isBlocked && tape.canBlock(like)) {
    const blocks = graph.reshape(name, [batch, channels / block, 1, block]);
    const spread = graph.node("Expand", [
      blocks,
      graph.int64s([batch, channels / block, height * width, block]),
    ]);
    return new Value(like.shape, true, { blocked: graph.reshape(spread, [...like.shape]) });
  }
  const spread = graph.node("Expand", [
    graph.reshape(name, [batch, channels, 1, 1]),
    graph.int64s([batch, channels, height, width]),
  ]);
  return new Value(like.shape, true, { plain: spread });
}
