import type { HeadRecipe, HeadWeights } from "@trommel/common";
import { TrommelError } from "@trommel/common";
import { GraphBuilder } from "../../graph/graph-builder.js";
import { Tensor } from "../../graph/onnx/onnx-runtime.js";
import { checkHeadWeights } from "../model/head-model.js";
import { emitHead } from "../model/head-to-onnx.js";
import { openHeadSession, takeData, unshared } from "./head-session.js";

/** Bounds the rows that ONNX Runtime sees at once. */
const chunkRows = 1024;

/**
 * The head's logits by ONNX Runtime, for many rows. `predictLogits` computes the same in plain TypeScript, slower.
 * @param features [rowCount, features], row-major
 * @returns [rowCount, classes]
 * @throws TrommelError `corrupt` when the weights are not those of the head, `internal` when the length does not fit
 */
export async function headLogits(
  head: HeadRecipe,
  weights: HeadWeights,
  features: Float32Array,
  rowCount: number,
): Promise<Float32Array> {
  const { featureCount, classCount } = checkHeadWeights(head, weights);
  if (features.length !== rowCount * featureCount) {
    throw new TrommelError(
      "internal",
      `cannot run a head: ${features.length} values given for ${rowCount} rows of ${featureCount} features`,
    );
  }
  const builder = new GraphBuilder({ graphName: "head_logits" });
  const input = builder.input("features", "float32", ["rows", featureCount]);
  const output = emitHead(builder, input, weights, head);
  builder.output("logits", "float32", ["rows", classCount], output);
  const session = await openHeadSession(builder.encode());
  try {
    const logits = new Float32Array(rowCount * classCount);
    for (let start = 0; start < rowCount; start += chunkRows) {
      const rows = Math.min(chunkRows, rowCount - start);
      const chunk = unshared(features.subarray(start * featureCount, (start + rows) * featureCount));
      const found = await session.run({ features: new Tensor("float32", chunk, [rows, featureCount]) });
      logits.set(takeData(found["logits"]), start * classCount);
    }
    return logits;
  } finally {
    await session.release();
  }
}
