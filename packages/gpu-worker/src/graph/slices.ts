import type { BackboneSpec } from "@trommel/common";
import { GraphBuilder } from "./graph-builder.js";

/**
 * How many images a network computes at once on a CPU.
 *
 * With a whole batch, each layer's activations are written to memory and read back; those of a slice stay in the processor's
 * caches. A slice gives the same rows whatever batch it is in, equal to those of the whole batch up to rounding (ONNX Runtime
 * fuses more operators if the number of rows is known).
 */

/** Input pixels of a slice: two images of 224 × 224, or one larger one (docs/decisions/2026-11-22-device-settings.md). */
const pixelsAtOnce = 2 * 224 * 224;

/** Images per run of a session on a CPU, if the largest network input is `size`; at least one. */
export function imagesPerRun(size: number, viewCount: number): number {
  return Math.max(1, Math.floor(imagesAtOnce(size) / viewCount));
}

/** Square images of `size` pixels per slice; at least one. */
function imagesAtOnce(size: number): number {
  return Math.max(1, Math.floor(pixelsAtOnce / size ** 2));
}

/** The largest divisor of `viewCount` that is at most {@link imagesAtOnce}. */
export function sliceOf(viewCount: number, size: number): number {
  let slice = Math.min(viewCount, imagesAtOnce(size));
  while (viewCount % slice !== 0) slice -= 1;
  return slice;
}

export interface SlicedNetwork {
  /** Added in front of the names inside. */
  readonly prefix: string;
  /** Value float32 [rows, 3, inputSize, inputSize]; `rows` is a multiple of `slice`. */
  readonly rows: string;
  readonly slice: number;
  readonly spec: Pick<BackboneSpec, "inputSize" | "dimension">;
  /** From a value float32 [slice, 3, inputSize, inputSize] to one float32 [slice, dimension]. */
  readonly emit: (builder: GraphBuilder, image: string) => string;
}

/**
 * Emits the network as the body of a Scan, whose slices are views of the batch, not copies.
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
  // None of the network's own names starts with this.
  const image = body.input(`slices/${prefix}image`, "float32", [slice, 3, inputSize, inputSize]);
  body.output(`slices/${prefix}embedding`, "float32", [slice, dimension], network.emit(body, image));
  const slices = builder.reshape(network.rows, [-1, slice, 3, inputSize, inputSize]);
  const scanned = builder.node("Scan", [slices], { body: { graph: body.graph() }, num_scan_inputs: 1 });
  return builder.reshape(scanned, [-1, dimension]);
}
