import type { Comparison, ModelEvaluation } from "./model-evaluation.js";

type Compared = Pick<ModelEvaluation, "model">;

/** Below this probability an uneven division is no longer taken for chance. */
const significant = 0.05;

/** What a comparison says of two models, or of two scorings of one, in sentences: which is better, and whether that may be chance. */
export function verdictOf(evaluation: Compared, comparison: Comparison): string {
  const { onlyFirstRight, onlySecondRight, test, first } = comparison;
  const p = test.pValue < 0.001 ? "below 0.001" : test.pValue.toFixed(3);
  const same = isSameModel(evaluation, comparison);
  const [one, other] = same ? ["This scoring", "The other scoring"] : ["This model", "The other model"];
  const counts = `${one} alone is right on ${onlyFirstRight} of the ${first.images} images, the other alone on ${onlySecondRight}; if both erred equally often, a division at least so uneven would have probability ${p} (McNemar's test).`;
  if (onlyFirstRight === onlySecondRight) return `${counts} Both are right equally often.`;
  const better = onlyFirstRight > onlySecondRight ? one : other;
  const points = (100 * Math.abs(onlyFirstRight - onlySecondRight)) / first.images;
  const by = `by ${points.toFixed(1)} percentage points of accuracy`;
  return test.pValue < significant
    ? `${counts} ${better} is better on images such as these: on these ${by}.`
    : `${counts} ${better} is better on these images, ${by}, but that may be chance.`;
}

/**
 * What an evaluation compares with, as the beginning of a sentence: a run of the store by its id, another model by its location,
 * another scoring of the same model by the location of its scores.
 * @param storeUrl location of the store
 */
export function rivalOf(evaluation: Compared, rival: Comparison, storeUrl: string): string {
  if (isSameModel(evaluation, rival)) return `The other scoring of this model is ${rival.scores}`;
  const { location } = rival.model;
  const [root, end] = [`${storeUrl}/runs/`, "/bundle"];
  const isOfStore = location.startsWith(root) && location.endsWith(end);
  const id = isOfStore ? location.slice(root.length, -end.length) : "";
  return `The other model is ${id === "" || id.includes("/") ? location : id}`;
}

function isSameModel({ model }: Compared, rival: Comparison): boolean {
  return rival.model.modelSha256 === model.modelSha256;
}
