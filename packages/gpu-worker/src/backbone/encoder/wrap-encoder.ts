import {
  TrommelError,
  messageOf,
  namedNormalizations,
  type AxisOrder,
  type Normalization,
} from "@trommel/common";
import { commonOpset } from "../../graph/onnx/inline-model.js";
import { pruneTo } from "../../graph/onnx/onnx-prune.js";
import type { ModelProto } from "../../graph/onnx/onnx-proto.js";
import { CheckedModel, relativeDifference } from "../import/checked-model.js";
import { checkWeights } from "../checks/check-weights.js";
import { probeImages } from "../import/probe-images.js";
import { emitEncoder, emitProbe, type Wrapped } from "./emit-encoder.js";
import { chooseOutput, type OutputChoice } from "./encoder-output.js";
import { imageInput, type ImageInput } from "./image-input.js";
import { outputForm, type FormChoices, type OutputForm } from "./output-form.js";
import { refuse } from "./refuse.js";

export interface EncoderOptions extends OutputChoice, FormChoices {
  /** Side of the square input in pixels. @default the size that the model declares */
  readonly inputSize?: number;
  /** Order of the input's axes, for a graph that accepts both. */
  readonly inputLayout?: AxisOrder;
}

export interface WrappedEncoder {
  /** An ONNX file: `image` float32 [N, 3, inputSize, inputSize] to `embedding` float32 [N, dimension]. */
  readonly model: Uint8Array;
  readonly dimension: number;
  readonly inputSize: number;
  readonly opset: number;
  readonly output: string;
  readonly pooling: "average" | "max" | "cls" | "mean" | "cls+mean" | "none";
  /** The layout of input and output, and which output was taken, for people. */
  readonly layout: string;
  /** The encoder's own part of the graph, with its input as the graph names it. */
  readonly encoder: { readonly model: ModelProto; readonly input: string; readonly order: AxisOrder };
}

/** Limit for the difference between images in a batch and alone; rounding stays far below. */
const batchTolerance = 1e-3;

const probeNormalization: Normalization = namedNormalizations.tf;

/** Operators whose scale is that of the whole batch, so that an embedding depends on the other images of its batch. */
const batchwideOps = new Set([
  "DynamicQuantizeLinear",
  "DynamicQuantizeMatMul",
  "DynamicQuantizeLSTM",
  "MatMulIntegerToFloat",
]);

/**
 * Wraps any ONNX image encoder in the contract of a backbone. The declared batch size is dropped, and two images are run
 * together and alone to check that the graph does not depend on it.
 * @throws TrommelError `unsupported` for inputs, outputs and operators that do not fit, `not-found` for an unknown output,
 *   `corrupt` for weights that are not numbers, `invalid-argument` if a flag must say what the graph does not
 */
export async function wrapEncoder(model: ModelProto, options: EncoderOptions = {}): Promise<WrappedEncoder> {
  const { output, others } = chooseOutput(model, options);
  const pruned = pruneTo(model, output);
  refuseBatchwide(pruned);
  const input = imageInput(pruned, options);
  checkWeights(pruned, "the encoder");
  const { order, dims, otherDims } = await probeLayout(pruned, input, output);
  const wrapped: Wrapped = { model: pruned, input, order, output };
  const form = outputForm(
    { model: pruned, output, input: { name: input.name, order, size: input.size }, dims, otherDims },
    options,
  );
  const bytes = emitEncoder(wrapped, form);
  await checkBatch(bytes, input.size);
  return {
    ...{
      model: bytes,
      dimension: form.dimension,
      inputSize: input.size,
      opset: commonOpset([model]),
      output,
    },
    pooling: form.kind === "vector" ? "none" : form.pooling,
    layout: describe(wrapped, form, dims, others),
    encoder: { model: pruned, input: input.name, order },
  };
}

function refuseBatchwide(model: ModelProto): void {
  const found = (model.graph?.node ?? []).find(({ opType }) => batchwideOps.has(opType ?? ""));
  if (found === undefined) return;
  throw refuse(
    `it is quantised dynamically (${found.opType ?? ""}): one scale serves the whole batch, so that an embedding would depend on the other images of its batch. ` +
      "Import the model in float32 or float16; 'trommel backbone quantize' makes an int8 copy with fixed scales",
  );
}

interface Probed {
  readonly order: AxisOrder;
  readonly dims: readonly number[];
  readonly otherDims: readonly (readonly number[])[];
}

/** Runs the encoder in each order of axes that its input allows; exactly one must work. */
async function probeLayout(model: ModelProto, input: ImageInput, output: string): Promise<Probed> {
  const working: Probed[] = [];
  let failure: unknown;
  for (const order of input.layouts) {
    try {
      working.push({ order, ...(await probe(emitProbe({ model, input, order, output }), input.size)) });
    } catch (thrown) {
      if (thrown instanceof TrommelError && input.layouts.length === 1) throw thrown;
      failure ??= thrown;
    }
  }
  const [only, ...more] = working;
  if (only === undefined) {
    if (failure instanceof TrommelError) throw failure;
    throw refuse(
      `it fails on an image of ${input.size} × ${input.size} pixels (${messageOf(failure)}). Check --size: some networks accept one size, or multiples of their patches`,
      failure,
    );
  }
  if (more.length === 0) return only;
  throw new TrommelError(
    "invalid-argument",
    `cannot import the encoder: its input ${input.name} does not say which axis holds the channels, and it runs with both. ` +
      "Say it with --input-layout: nchw (channels first) or nhwc (channels last)",
  );
}

/** Output shapes for the size, and for two larger ones if the output has more than two axes. */
async function probe(bytes: Uint8Array, size: number): Promise<Omit<Probed, "order">> {
  const checked = await CheckedModel.load(bytes);
  const dimsAt = async (side: number): Promise<readonly number[]> =>
    (await checked.embed(probeImages(1, side, probeNormalization, "encoder"), 1, side)).dims;
  try {
    const dims = await dimsAt(size);
    if (dims.length <= 2) return { dims, otherDims: [] };
    const otherDims: (readonly number[])[] = [];
    // Most networks halve their maps up to six times; some accept only multiples of their own size.
    for (const side of [size + 64, 2 * size]) {
      const other = await dimsAt(side).catch(() => undefined);
      if (other !== undefined) otherDims.push(other);
    }
    return { dims, otherDims };
  } finally {
    await checked.release();
  }
}

async function checkBatch(bytes: Uint8Array, size: number): Promise<void> {
  const checked = await CheckedModel.load(bytes);
  try {
    const images = probeImages(2, size, probeNormalization, "encoder");
    const half = images.length / 2;
    const first = await checked.embed(images.subarray(0, half), 1, size);
    const second = await checked.embed(images.subarray(half), 1, size);
    if (![...first.values, ...second.values].every(Number.isFinite)) {
      throw refuse(
        "its embeddings of probe images are not finite, although its weights are. Check --size, or export it in float32",
      );
    }
    const together = await checked.embed(images, 2, size).catch((cause: unknown) => {
      throw refuse("it fails on two images at once. Export it with a dynamic batch", cause);
    });
    const alone = new Float32Array(first.values.length * 2);
    alone.set(first.values);
    alone.set(second.values, first.values.length);
    const difference = relativeDifference(together.values, alone);
    if (together.dims[0] !== 2 || !(difference <= batchTolerance)) {
      throw refuse(
        "two images at once give other embeddings than one by one. Export it with a dynamic batch",
      );
    }
  } finally {
    await checked.release();
  }
}

function describe(
  { order, output }: Wrapped,
  form: OutputForm,
  dims: readonly number[],
  others: readonly string[],
): string {
  const shape = `${output} [N, ${dims.slice(1).join(", ")}]`;
  const instead = others.length === 0 ? "" : `, not ${others.join(", ")} (--output)`;
  return `input ${order.toUpperCase()}, output ${shape}${howPooled(form)}${instead}`;
}

function howPooled(form: OutputForm): string {
  switch (form.kind) {
    case "vector":
      return "";
    case "map":
      return ` ${form.order.toUpperCase()}, ${form.pooling} pooling`;
    case "tokens":
      return ` tokens, pooling ${form.pooling}${form.pooling === "cls" ? "" : `, ${form.prefix} left out of the mean`}`;
  }
}
