import { TrommelError, namedNormalizations, type Normalization, type Pooling } from "@trommel/common";
import { GraphBuilder } from "../../graph/graph-builder.js";
import { commonOpset, feedNames, inlineModel } from "../../graph/onnx/inline-model.js";
import { pruneTo, valueNames } from "../../graph/onnx/onnx-prune.js";
import {
  elementTypeCodes,
  int64ToNumber,
  type ModelProto,
  type ValueInfoProto,
} from "../../graph/onnx/onnx-proto.js";
import { CheckedModel, relativeDifference } from "./checked-model.js";
import { probeImages } from "./probe-images.js";

export interface EncoderOptions {
  /** Side of the square input in pixels. @default the size that the model declares */
  readonly inputSize?: number;
  /** Tensor that holds the embedding. @default the model's only output */
  readonly output?: string;
  /** Used if that tensor is spatial. @default "average" */
  readonly pooling?: Pooling;
}

export interface WrappedEncoder {
  /** An ONNX file: `image` float32 [N, 3, inputSize, inputSize] to `embedding` float32 [N, dimension]. */
  readonly model: Uint8Array;
  readonly dimension: number;
  readonly inputSize: number;
  readonly opset: number;
  readonly output: string;
  readonly pooling: Pooling | "none";
}

/** The form of the encoder's image input. */
interface ImageInput {
  readonly name: string;
  readonly halfPrecision: boolean;
  readonly channelsLast: boolean;
  readonly size: number;
}

/** Limit for the difference between images in a batch and alone; rounding stays far below. */
const batchTolerance = 1e-3;

const probeNormalization: Normalization = namedNormalizations.tf;

/**
 * Wraps any ONNX image encoder in the contract of a backbone. The declared batch size is dropped, and two images are run
 * together and alone to check that the graph does not depend on it.
 * @throws TrommelError `unsupported` for inputs, outputs and operators that do not fit, `not-found` for an unknown output,
 *   `invalid-argument` if a size or an output must be given
 */
export async function wrapEncoder(model: ModelProto, options: EncoderOptions = {}): Promise<WrappedEncoder> {
  const output = outputOf(model, options.output);
  const pruned = pruneTo(model, output);
  const input = imageInput(pruned, options.inputSize);
  const dims = await probe(encode(pruned, input, output, { rank: undefined }), input.size);
  const { rank, dimension } = embeddingShape(dims, input, output);
  const pooling = rank === 4 ? (options.pooling ?? "average") : "none";
  const graph = { rank, dimension, pooling } as const;
  const bytes = encode(pruned, input, output, graph);
  await checkBatch(bytes, input.size);
  return { model: bytes, dimension, inputSize: input.size, opset: commonOpset([model]), output, pooling };
}

function outputOf(model: ModelProto, output: string | undefined): string {
  const outputs = (model.graph?.output ?? []).map(({ name = "" }) => name);
  if (output === undefined) {
    const [only, ...others] = outputs;
    if (only !== undefined && others.length === 0) return only;
    throw new TrommelError(
      "invalid-argument",
      `cannot import the encoder: it has ${outputs.length} outputs (${outputs.join(", ")}). Choose one with --output`,
    );
  }
  const names = valueNames(model.graph ?? {});
  if (names.has(output)) return output;
  const last = [...names].slice(-8);
  throw new TrommelError(
    "not-found",
    `cannot import the encoder: it has no tensor "${output}". Its outputs are ${outputs.join(", ")}; ` +
      `the last of its ${names.size} tensors are ${last.join(", ")}`,
  );
}

function imageInput(model: ModelProto, inputSize: number | undefined): ImageInput {
  const graph = model.graph ?? {};
  const names = feedNames(graph);
  const [name, ...others] = names;
  const info = (graph.input ?? []).find((value) => value.name === name);
  if (name === undefined || info === undefined || others.length > 0) {
    throw refuse(`it has ${names.length} inputs (${names.join(", ")}), and a backbone has one, the image`);
  }
  const elementType = info.type?.tensorType?.elemType;
  if (elementType !== elementTypeCodes.float32 && elementType !== elementTypeCodes.float16) {
    throw refuse(`its input ${name} has element type ${elementType ?? "unknown"} (legal: float32, float16)`);
  }
  const dims = declaredDims(info);
  const [batch, second, third, fourth] = dims;
  const channelsLast = fourth === 3 && second !== 3;
  if (dims.length !== 4 || (second !== 3 && fourth !== 3) || (second === 3 && fourth === 3)) {
    throw refuse(
      `its input ${name} is [${dims.map((dim) => dim ?? "?").join(", ")}] (legal: [N, 3, H, W], [N, H, W, 3])`,
    );
  }
  if (batch !== undefined && batch !== 1)
    throw refuse(`its batch size is fixed at ${batch}. Export it with a dynamic batch`);
  const sides = channelsLast ? [second, third] : [third, fourth];
  return {
    name,
    halfPrecision: elementType === elementTypeCodes.float16,
    channelsLast,
    size: sizeOf(sides, inputSize),
  };
}

/** undefined for a dynamic dimension; some exporters write those as 0 or -1. */
function declaredDims(info: ValueInfoProto): (number | undefined)[] {
  return (info.type?.tensorType?.shape?.dim ?? []).map(({ dimValue }) => {
    const value = dimValue === undefined ? 0 : int64ToNumber(dimValue);
    return value > 0 ? value : undefined;
  });
}

function sizeOf([height, width]: readonly (number | undefined)[], inputSize: number | undefined): number {
  const fixed = [height, width].filter((side) => side !== undefined);
  const size = inputSize ?? fixed[0];
  if (size === undefined) {
    throw new TrommelError(
      "invalid-argument",
      "cannot import the encoder: it accepts images of any size. Set the input size with --size",
    );
  }
  if (fixed.some((side) => side !== size)) {
    throw new TrommelError(
      "invalid-argument",
      `cannot import the encoder with the input size ${size}×${size}: its input is ${height ?? "?"}×${width ?? "?"}. ` +
        "Use the declared size, which must be square",
    );
  }
  return size;
}

type OutputForm =
  | { readonly rank: undefined }
  | { readonly rank: 2 | 4; readonly dimension: number; readonly pooling: Pooling | "none" };

/** `image` → the encoder → `embedding`; if the rank is unknown, the encoder's own output unchanged. */
function encode(model: ModelProto, input: ImageInput, output: string, form: OutputForm): Uint8Array {
  const graph = new GraphBuilder({ opset: commonOpset([model]), graphName: "backbone" });
  const image = graph.input("image", "float32", ["N", 3, input.size, input.size]);
  const turned = input.channelsLast ? graph.node("Transpose", [image], { perm: [0, 2, 3, 1] }) : image;
  const fed = input.halfPrecision ? graph.node("Cast", [turned], { to: elementTypeCodes.float16 }) : turned;
  const inlined = inlineModel(graph, model, { prefix: "encoder/", inputs: { [input.name]: fed } });
  const raw = graph.node("Cast", [inlined[output] ?? ""], { to: elementTypeCodes.float32 });
  if (form.rank === undefined) {
    graph.output("embedding", "float32", undefined, raw);
    return graph.encode();
  }
  const pooled = form.rank === 4 ? pool(graph, raw, input.channelsLast, form) : raw;
  graph.output("embedding", "float32", ["N", form.dimension], pooled);
  return graph.encode();
}

function pool(
  graph: GraphBuilder,
  raw: string,
  channelsLast: boolean,
  { pooling, dimension }: { pooling: Pooling | "none"; dimension: number },
): string {
  const planes = channelsLast ? graph.node("Transpose", [raw], { perm: [0, 3, 1, 2] }) : raw;
  const pooled = graph.node(pooling === "max" ? "GlobalMaxPool" : "GlobalAveragePool", [planes]);
  const shape = graph.constant("embedding_shape", "int64", [2], BigInt64Array.of(0n, BigInt(dimension)));
  return graph.node("Reshape", [pooled, shape]);
}

async function probe(bytes: Uint8Array, size: number): Promise<readonly number[]> {
  const checked = await CheckedModel.load(bytes);
  try {
    const { dims } = await checked.embed(probeImages(1, size, probeNormalization, "encoder"), 1, size);
    return dims;
  } finally {
    await checked.release();
  }
}

/** A spatial output is assumed to have the layout of the input. */
function embeddingShape(
  dims: readonly number[],
  input: ImageInput,
  output: string,
): { rank: 2 | 4; dimension: number } {
  const dimension = dims.length === 2 || input.channelsLast ? dims.at(-1) : dims[1];
  if ((dims.length !== 2 && dims.length !== 4) || dims[0] !== 1 || dimension === undefined) {
    throw refuse(
      `its tensor ${output} has the shape [${dims.join(", ")}] for one image (legal: [N, D], or a spatial [N, D, H, W]). ` +
        "Choose another tensor with --output",
    );
  }
  return { rank: dims.length, dimension };
}

async function checkBatch(bytes: Uint8Array, size: number): Promise<void> {
  const checked = await CheckedModel.load(bytes);
  try {
    const images = probeImages(2, size, probeNormalization, "encoder");
    const half = images.length / 2;
    const first = await checked.embed(images.subarray(0, half), 1, size);
    const second = await checked.embed(images.subarray(half), 1, size);
    const together = await checked.embed(images, 2, size).catch((cause: unknown) => {
      throw refuse("it fails on two images at once. Export it with a dynamic batch", cause);
    });
    const alone = new Float32Array(first.values.length * 2);
    alone.set(first.values);
    alone.set(second.values, first.values.length);
    const difference = relativeDifference(together.values, alone);
    if (together.dims[0] !== 2 || !(difference <= batchTolerance)) {
      throw refuse(
        "two images at once give other embeddings than one by one, or embeddings that are not finite. Export it with a dynamic batch",
      );
    }
  } finally {
    await checked.release();
  }
}

function refuse(why: string, cause?: unknown): TrommelError {
  return new TrommelError(
    "unsupported",
    `cannot import the encoder: ${why}`,
    cause === undefined ? {} : { cause },
  );
}
