import type { StepFigures, TuningBatch } from "./tuner.js";

/** @param logarithms log-probabilities [B, classes] */
export function figuresOf(logarithms: Float32Array, batch: TuningBatch, classCount: number): StepFigures {
  const { targets, rowShares } = batch;
  let [loss, correct] = [0, 0];
  for (const [row, share] of rowShares.entries()) {
    let [predicted, wanted] = [0, 0];
    for (let index = 0; index < classCount; index += 1) {
      const at = row * classCount + index;
      const start = row * classCount;
      loss -= share * (targets[at] as number) * (logarithms[at] as number);
      if ((logarithms[at] as number) > (logarithms[start + predicted] as number)) predicted = index;
      if ((targets[at] as number) > (targets[start + wanted] as number)) wanted = index;
    }
    if (predicted === wanted) correct += 1;
  }
  return { loss, correct };
}
