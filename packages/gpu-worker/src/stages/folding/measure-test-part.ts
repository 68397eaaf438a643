import type { Novelty } from "@trommel/common";
import { testPart, type Choice, type FoldSplit } from "@trommel/common/artefacts";
import { meanLogits, type Ensemble } from "../../head/model/ensemble.js";
import { noveltyOf } from "../../measure/novelty/novelty-distances.js";
import type { ChosenRun } from "./chosen-heads.js";
import { measureTest } from "./estimates.js";
import type { FoldRows } from "./fold-rows.js";
import { groupsOf, readImageLabels } from "./image-places.js";
import { predictPart, servedViews } from "./predict-part.js";

/** The figures of the test part by the model's own heads; null without one. */
export async function measureTestPart(
  run: Omit<ChosenRun, "chosen"> & { readonly ensemble: Ensemble },
): Promise<Choice["test"]> {
  const { config, split, rows, ensemble, context } = run;
  if (!hasTestPart(split)) return null;
  const { head, heads, temperature, ownNetworks } = ensemble;
  const { shard, position, logits } = await predictPart(rows, testPart, {
    ...{ head, heads, ownNetworks },
    views: servedViews(config.recipe),
  });
  const images = { shard, position };
  const labels = await readImageLabels(config, images, rows.labels, context);
  return measureTest({
    logits: Float64Array.from(meanLogits(logits)),
    temperature,
    labels,
    classNames: rows.labels,
    groupOf: groupsOf(split, images),
    seed: config.recipe.seed,
  });
}

/** The share of the test part that a scoring with this bound would label unknown. */
const reportedNovelty = 0.99;

export async function measureTestNovelty(
  split: FoldSplit,
  rows: FoldRows,
  novelty: Novelty,
): Promise<Choice["testNovelty"]> {
  if (!hasTestPart(split)) return null;
  let [images, above] = [0, 0];
  for await (const { part, view, values } of rows.each()) {
    if (part !== testPart || view > 0) continue;
    images += 1;
    if ((noveltyOf(novelty, values)[0] ?? 0) > reportedNovelty) above += 1;
  }
  return images === 0 ? null : { above: reportedNovelty, share: above / images };
}

export function hasTestPart({ parts }: FoldSplit): boolean {
  return parts.some((ofShard) => ofShard.includes(testPart));
}
