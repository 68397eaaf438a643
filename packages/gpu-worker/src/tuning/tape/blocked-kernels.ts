import type { Tape } from "./tape.js";

/**
 * Kernels of ONNX's order [O, C / groups, kh, kw] as those of the runtime's blocked layout, by nodes: the kernels are inputs
 * of the training step, and the runtime reorders only constants itself. All keep the number of elements.
 */

/** A dense convolution's: [O / b, C / b, k, b of C, b of O]. */
export function blockedKernel(tape: Tape, kernel: string, [outs, ins, size]: readonly number[]): string {
  const parts = partsOf(tape, kernel, [outs ?? 0, ins ?? 0, size ?? 0]);
  return tape.transpose(parts, [0, 2, 4, 3, 1]);
}

/** With inputs and outputs changed, turned by 180 degrees: [C / b, O / b, k, b of O, b of C]. */
export function turnedKernel(tape: Tape, kernel: string, [outs, ins, size]: readonly number[]): string {
  const swapped = tape.transpose(partsOf(tape, kernel, [outs ?? 0, ins ?? 0, size ?? 0]), [2, 0, 4, 1, 3]);
  return backwards(tape, swapped, size ?? 0, 2);
}

/** A depthwise convolution's, one kernel for each channel: [C / b, k, b]. */
export function blockedDepthwise(tape: Tape, kernel: string, channels: number, size: number): string {
  const { block } = tape;
  return tape.transpose(tape.viewOf(kernel, [channels / block, block, size]), [0, 2, 1]);
}

export function turnedDepthwise(tape: Tape, kernel: string, channels: number, size: number): string {
  return backwards(tape, blockedDepthwise(tape, kernel, channels, size), size, 1);
}

/** One for fewer channels than a block, whose input is in ONNX's order: [O / b, C · k, b]. */
export function blockedStem(tape: Tape, kernel: string, outs: number, taps: number): string {
  const { block } = tape;
  return tape.transpose(tape.viewOf(kernel, [outs / block, block, taps]), [0, 2, 1]);
}

function partsOf(tape: Tape, kernel: string, [outs, ins, size]: readonly [number, number, number]): string {
  const { block } = tape;
  return tape.viewOf(kernel, [outs / block, block, ins / block, block, size]);
}

function backwards(tape: Tape, value: string, size: number, axis: number): string {
  if (size === 1) return value;
  const { graph } = tape;
  return graph.node("Gather", [value, graph.int64s(Array.from({ length: size }, (_, at) => size - 1 - at))], {
    axis,
  });
}
