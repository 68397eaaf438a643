import type { TrainingForecast } from "../index.js";

/** What `train --dry-run` says. */
export function* describeForecast({ id, images, classes, tuning }: TrainingForecast): Generator<string> {
  yield `${id}: ${images} labelled images of ${classes} classes`;
  if (tuning === null) return;
  const { replicas, batchSize, epochs, stepsPerEpoch, localSteps, rounds } = tuning;
  const about = tuning.isEstimate ? "about " : "";
  yield `tuning: ${about}${tuning.images} images, without the held-out and the test part`;
  const each = replicas === 1 ? "" : ` of each of ${replicas} replicas`;
  yield `${about}${epochs * stepsPerEpoch} steps${each} (${epochs} epochs of ${stepsPerEpoch}) on ${batchSize} images each, in ${rounds} rounds of at most ${localSteps} steps`;
}
