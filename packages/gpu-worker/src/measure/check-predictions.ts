import { TrommelError } from "@trommel/common";

/**
 * @param scores [labels.length, classCount]
 * @throws TrommelError `bad-dataset` without rows, `internal` when lengths or labels do not fit
 */
export function checkSizes(scores: ArrayLike<number>, labels: Int32Array, classCount: number): void {
  if (labels.length === 0) {
    throw new TrommelError(
      "bad-dataset",
      "cannot measure a classifier: there is no labelled image to measure it on. Give each class at least two readable images",
    );
  }
  if (scores.length !== labels.length * classCount) {
    throw new TrommelError(
      "internal",
      `cannot measure a classifier: ${scores.length} scores given for ${labels.length} images of ${classCount} classes`,
    );
  }
  const wrong = labels.find((label) => label < 0 || label >= classCount);
  if (wrong !== undefined) {
    throw new TrommelError(
      "internal",
      `cannot measure a classifier: label ${wrong} is not one of ${classCount} classes`,
    );
  }
}

/** Like {@link checkSizes}. @throws TrommelError `internal` also when a score is not finite */
export function checkPredictions(scores: Float64Array, labels: Int32Array, classCount: number): void {
  checkSizes(scores, labels, classCount);
  const at = scores.findIndex((score) => !Number.isFinite(score));
  if (at !== -1) {
    throw new TrommelError(
      "internal",
      `cannot measure a classifier: a score of image ${Math.floor(at / classCount)} is ${scores[at]}. Scores must be finite`,
    );
  }
}
