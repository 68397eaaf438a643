import type { RunConfig } from "@trommel/common";
import { testPart } from "@trommel/common/artefacts";
import { meanLogits, type Ensemble } from "#gpu-worker/head/model/ensemble";
import { predictedClasses } from "#gpu-worker/measure/classes";
import { confidencesOf, hitsOf } from "#gpu-worker/measure/predictions";
import { applyTemperature } from "#gpu-worker/measure/softmax";
import type { StageContext } from "#gpu-worker/stages/context";
import { FoldRows } from "#gpu-worker/stages/folding/fold-rows";
import { readFoldSplit } from "#gpu-worker/stages/folding/fold-split";
import { predictPart, servedViews } from "#gpu-worker/stages/folding/predict-part";
import { readStandardization } from "#gpu-worker/stages/folding/standardization";

/** By image of the test part: its key, the largest probability, and 1 where it is the true class's. */
export interface TestPredictions {
  readonly keys: readonly string[];
  readonly confidences: readonly number[];
  readonly hits: readonly number[];
}

/** What the bundle's heads, averaged and at the bundle's temperature, say of the test part. */
export async function predictTest(
  config: RunConfig,
  { temperature, ...heads }: Ensemble,
  context: StageContext,
): Promise<TestPredictions> {
  const { store } = context;
  const split = await readFoldSplit(store, config.id);
  const rows = await FoldRows.open(config, split, await readStandardization(store, config.id), context);
  const { logits } = await predictPart(rows, testPart, { ...heads, views: servedViews(config.recipe) });
  const keys: string[] = [];
  const labels: number[] = [];
  for await (const { view, part, label, key } of rows.each()) {
    if (view !== 0 || part !== testPart) continue;
    keys.push(key);
    labels.push(label);
  }
  const classCount = rows.labels.length;
  const probabilities = applyTemperature(Float64Array.from(meanLogits(logits)), classCount, temperature);
  const predicted = predictedClasses(probabilities, classCount);
  return {
    keys,
    confidences: [...confidencesOf(probabilities, predicted, classCount)],
    hits: [...hitsOf(predicted, Int32Array.from(labels))],
  };
}
