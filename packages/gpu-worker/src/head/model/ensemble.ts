import { TrommelError, type HeadRecipe, type HeadWeights } from "@trommel/common";
import { headAt, headTensors, type Standardization } from "@trommel/common/artefacts";
import { decodeSafetensors, encodeSafetensors } from "@trommel/common/codec";
import type { GraphBuilder } from "../../graph/graph-builder.js";
import { emitHead } from "./head-to-onnx.js";
import { checkHeadWeights } from "./head-model.js";
import { predictLogits } from "./predict-head.js";

/**
 * Heads of one kind whose logits are averaged, and the temperature that the average is divided by. It takes standardised
 * embeddings; a softmax of what it gives are the probabilities.
 */
export interface Ensemble {
  readonly head: HeadRecipe;
  readonly heads: readonly HeadWeights[];
  /** Above 0. */
  readonly temperature: number;
}

/** Adds the standardisation to a graph. @param embeddings float32 [N, dimension] @returns the same, standardised */
export function emitStandardization(
  builder: GraphBuilder,
  embeddings: string,
  { mean, scale }: Standardization,
): string {
  const row = [1, mean.length];
  const centred = builder.node("Sub", [embeddings, builder.constant("mean", "float32", row, mean)]);
  return builder.node("Mul", [centred, builder.constant("scale", "float32", row, scale)]);
}

/** Adds an ensemble to a graph. @param input standardised, float32 [N, features] @returns logits, float32 [N, classes] */
export function emitEnsemble(
  builder: GraphBuilder,
  input: string,
  { head, heads, temperature }: Ensemble,
): string {
  const logits = heads.map((weights) => emitHead(builder, input, weights, head));
  const sum = logits.length === 1 ? (logits[0] as string) : builder.node("Sum", logits);
  const factor = Float32Array.of(1 / (temperature * heads.length));
  return builder.node("Mul", [sum, builder.constant("temperature", "float32", [1, 1], factor)]);
}

/** Standardises rows, into new memory. @param rows [count, dimension] */
export function standardized(rows: Float32Array, { mean, scale }: Standardization): Float32Array {
  const width = mean.length;
  const result = new Float32Array(rows.length);
  for (let at = 0; at < rows.length; at += width)
    for (let i = 0; i < width; i += 1)
      result[at + i] = ((rows[at + i] as number) - (mean[i] as number)) * (scale[i] as number);
  return result;
}

/** The logits in plain TypeScript. @param features standardised, [count, dimension] @returns [count, classes] */
export function ensembleLogits(
  { head, heads, temperature }: Ensemble,
  features: Float32Array,
  count: number,
): Float32Array {
  const logits = heads.map((weights) => predictLogits(head, weights, features, count));
  return meanLogits(logits).map((value) => value / temperature);
}

/** Means of logits of the same shape. @throws TrommelError `internal` without any */
export function meanLogits(logits: readonly Float32Array[]): Float32Array {
  const [first] = logits;
  if (first === undefined) throw new TrommelError("internal", "cannot average the logits of no head");
  return first.map((_, i) => logits.reduce((sum, of) => sum + (of[i] as number), 0) / logits.length);
}

/** The heads as safetensors, `<number>/<weight>`; head and temperature as metadata. */
export function encodeEnsemble({ head, heads, temperature }: Ensemble): Uint8Array {
  const tensors = heads.map((weights, index) => headTensors(weights, `${index}/`));
  const metadata = {
    heads: String(heads.length),
    head: JSON.stringify(head),
    temperature: String(temperature),
  };
  return encodeSafetensors({ tensors: Object.assign({}, ...tensors) as (typeof tensors)[number], metadata });
}

/** @throws TrommelError `corrupt` if the heads are not of that kind */
export function decodeEnsemble(bytes: Uint8Array, name: string, head: HeadRecipe): Ensemble {
  const file = decodeSafetensors(bytes, { name });
  const count = Number(file.metadata["heads"]);
  const temperature = Number(file.metadata["temperature"]);
  if (!Number.isSafeInteger(count) || count < 1 || !(temperature > 0))
    throw new TrommelError(
      "corrupt",
      `cannot read the heads ${name}: their number or their temperature is missing`,
    );
  const heads = Array.from({ length: count }, (_, index) => {
    const found = headAt(file, `${index}/`);
    checkHeadWeights(head, found);
    return found;
  });
  return { head, heads, temperature };
}
