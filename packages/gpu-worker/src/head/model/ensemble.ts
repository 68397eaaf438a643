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
  /**
   * Whether each head has a network of its own: the first takes the first of as many equal parts of the embedding, and so on. Otherwise all
   * take all of it.
   */
  readonly ownNetworks: boolean;
}

/** The features [count, dimension] that a head of an ensemble takes. */
export function featuresOfHead(
  { heads, ownNetworks }: Pick<Ensemble, "heads" | "ownNetworks">,
  at: number,
  features: Float32Array,
  count: number,
): Float32Array {
  if (!ownNetworks) return features;
  const dimension = features.length / count;
  const width = dimension / heads.length;
  const own = new Float32Array(count * width);
  for (let row = 0; row < count; row += 1) {
    const from = row * dimension + at * width;
    own.set(features.subarray(from, from + width), row * width);
  }
  return own;
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

/**
 * Adds an ensemble to a graph.
 * @param input standardised, float32 [N, dimension]
 * @returns logits, float32 [N, classes]
 */
export function emitEnsemble(
  builder: GraphBuilder,
  input: string,
  dimension: number,
  { head, heads, temperature, ownNetworks }: Ensemble,
): string {
  const width = dimension / heads.length;
  const inputOf = (at: number): string => {
    if (!ownNetworks) return input;
    const columns = Array.from({ length: width }, (_, column) => at * width + column);
    return builder.node("Gather", [input, builder.int64s(columns)], { axis: 1 });
  };
  const logits = heads.map((weights, at) => emitHead(builder, inputOf(at), weights, head));
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
export function ensembleLogits(ensemble: Ensemble, features: Float32Array, count: number): Float32Array {
  const { head, heads, temperature } = ensemble;
  const logits = heads.map((weights, at) =>
    predictLogits(head, weights, featuresOfHead(ensemble, at, features, count), count),
  );
  return meanLogits(logits).map((value) => value / temperature);
}

/** Means of logits of the same shape. @throws TrommelError `internal` without any */
export function meanLogits(logits: readonly Float32Array[]): Float32Array {
  const [first] = logits;
  if (first === undefined) throw new TrommelError("internal", "cannot average the logits of no head");
  return first.map((_, i) => logits.reduce((sum, of) => sum + (of[i] as number), 0) / logits.length);
}

/** The heads as safetensors, `<number>/<weight>`; head, temperature and whose networks they take as metadata. */
export function encodeEnsemble({ head, heads, temperature, ownNetworks }: Ensemble): Uint8Array {
  const tensors = heads.map((weights, index) => headTensors(weights, `${index}/`));
  const metadata = {
    heads: String(heads.length),
    head: JSON.stringify(head),
    temperature: String(temperature),
    ...(ownNetworks ? { networks: "own" } : {}),
  };
  return encodeSafetensors({ tensors: Object.assign({}, ...tensors) as (typeof tensors)[number], metadata });
}

/** @throws TrommelError `corrupt` if the heads do not take embeddings of that many numbers */
export function checkWidth({ head, heads, ownNetworks }: Ensemble, dimension: number, name: string): void {
  const width = ownNetworks ? dimension / heads.length : dimension;
  const other = heads
    .map((weights) => checkHeadWeights(head, weights).featureCount)
    .find((featureCount) => featureCount !== width);
  if (other === undefined) return;
  const each = ownNetworks ? `an equal part of it for each of ${heads.length}` : "all of it";
  throw new TrommelError(
    "corrupt",
    `cannot read the heads ${name}: one takes ${other} numbers, and the embedding has ${dimension}, ${each}. Train again or put the bundle back from a copy`,
  );
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
  return { head, heads, temperature, ownNetworks: file.metadata["networks"] === "own" };
}
