import type { Comparison, ModelEvaluation } from "./model-evaluation.js";

/** Below this probability an uneven division is no longer taken for chance. */
const significant = 0.05;

/** What a comparison says of two models, in sentences: which one is better, and whether that may be chance. */
export function verdictOf(comparison: Comparison): string {
  const { onlyFirstRight, onlySecondRight, test, first } = comparison;
  const p = test.pValue < 0.001 ? "below 0.001" : test.pValue.toFixed(3);
  const counts = `This model alone is right on ${onlyFirstRight} of the ${first.images} images, the other alone on ${onlySecondRight}; if both erred equally often, a division at least so uneven would have probability ${p} (McNemar's test).`;
  if (onlyFirstRight === onlySecondRight) return `${counts} Both are right equally often.`;
  const better = onlyFirstRight > onlySecondRight ? "This model" : "The other model";
  const points = (100 * Math.abs(onlyFirstRight - onlySecondRight)) / first.images;
  const by = `by ${points.toFixed(1)} percentage points of accuracy`;
  return test.pValue < significant
    ? `${counts} ${better} is better on images such as these: on these ${by}.`
    : `${counts} ${better} is better on these images, ${by}, but that may be chance.`;
}

/**
 * What an evaluation compares with: a run of the store by its id, another model by its location, and other scores of the same model
 * by theirs.
 * @param storeUrl location of the store
 */
export function rivalOf(
  { model }: Pick<ModelEvaluation, "model">,
  rival: Comparison,
  storeUrl: string,
): string {
  if (rival.model.modelSha256 === model.modelSha256) return `the same model with the scores ${rival.scores}`;
  const { location } = rival.model;
  const [root, end] = [`${storeUrl}/runs/`, "/bundle"];
  const id =
    location.startsWith(root) && location.endsWith(end) ? location.slice(root.length, -end.length) : "";
  return id === "" || id.includes("/") ? location : id;
}
