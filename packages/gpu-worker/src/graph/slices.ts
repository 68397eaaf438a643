import type { BackboneSpec } from "@trommel/common";
import { GraphBuilder } from "./graph-builder.js";
import { reshape } from "./reshape.js";

/**
 * How many pictures a network computes at once on a CPU.
 *
 * Layer by layer, the activations of a whole batch are written to memory and read back; those of a slice stay in the
 * processor's caches. A slice has the same rows in whatever batch it comes, and they are the whole batch's to rounding
 * (ONNX Runtime fuses more where the number of rows is known).
 */

/** Input pixels of a slice: two pictures of 224 × 224, or one larger one (docs/decisions/2026-11-22-device-settings.md). */
const pixelsAtOnce = 2 * 224 * 224;

/** Pictures that a CPU's session is given in one run, where the largest network input is `size`; at least one. */
export function picturesPerRun(size: number, viewCount: number): number {
  return Math.max(1, Math.floor(picturesAtOnce(size) / viewCount));
}

/** Of square pictures of `size` pixels; at least one. */
function picturesAtOnce(size: number): number {
  return Math.max(1, Math.floor(pixelsAtOnce / size ** 2));
}

/** The largest divisor of `viewCount` that is no more than {@link picturesAtOnce}. */
export function sliceOf(viewCount: number, size: number): number {
  let slice = Math.min(viewCount, picturesAtOnce(size));
  while (viewCount % slice !== 0) slice -= 1;
  return slice;
}

export interface SlicedNetwork {
  /** Before the names inside. */
  readonly prefix: string;
  /** Value float32 [rows, 3, inputSize, inputSize]; `rows` is a multiple of `slice`. */
  readonly rows: string;
  readonly slice: number;
  readonly spec: Pick<BackboneSpec, "inputSize" | "dimension">;
  /** From a value float32 [slice, 3, inputSize, inputSize] to one float32 [slice, dimension]. */
  readonly emit: (builder: GraphBuilder, image: string) => string;
}

/**
 * The network as the body of a Scan, whose slices are views of the batch and not copies.
 * @returns a value float32 [rows, dimension]
 */
export function emitInSlices(builder: GraphBuilder, network: SlicedNetwork): string {
  const { prefix, slice, spec } = network;
  const { inputSize, dimension } = spec;
  const body = new GraphBuilder({
    opset: builder.opset,
    graphName: `${prefix}network`,
    namePrefix: `slices/${prefix}`,
    within: builder,
  });
  // No name of the network's own begins so.
  const image = body.input(`slices/${prefix}image`, "float32", [slice, 3, inputSize, inputSize]);
  body.output(`slices/${prefix}embedding`, "float32", [slice, dimension], network.emit(body, image));
  const slices = reshape(builder, network.rows, [-1, slice, 3, inputSize, inputSize]);
  const scanned = builder.node("Scan", [slices], { body: { graph: body.graph() }, num_scan_inputs: 1 });
  return reshape(builder, scanned, [-1, dimension]);
}
