import type { TrainingForecast } from "../index.js";
import { formatSeconds } from "./progress-display.js";

/** What `train --dry-run` says. */
export function* describeForecast({ id, images, classes, tuning }: TrainingForecast): Generator<string> {
  yield `${id}: ${images} labelled images of ${classes} classes`;
  if (tuning === null) return;
  const about = tuning.isEstimate ? "about " : "";
  const { folds } = tuning;
  const without = folds === null ? "the held-out and the test part" : "a test part, if the recipe has one";
  yield `tuning: ${about}${tuning.images} images, without ${without}`;
  yield describeRounds(tuning, about);
  if (folds !== null) {
    yield `and for the figures ${folds.networks} networks, each without one of ${folds.networks} folds: ${about}${folds.rounds.images} images`;
    yield describeRounds(folds.rounds, about);
  }
  yield describeTime(tuning);
}

/** Reading and decoding images is not in it: that happens while the step before computes. */
function describeTime({ time, timeUnknown }: NonNullable<TrainingForecast["tuning"]>): string {
  if (time === null) return `time: unknown, because ${timeUnknown}`;
  const { workers, stepSeconds, roundSeconds, seconds } = time;
  const served = workers === 1 ? "1 worker" : `${workers} workers`;
  return `time: about ${formatSeconds(seconds)} of tuning on ${served}, a round ${formatSeconds(roundSeconds)}, by a step of ${stepSeconds.toPrecision(2)} s`;
}

type Rounds = NonNullable<NonNullable<TrainingForecast["tuning"]>["folds"]>["rounds"];

function describeRounds(of: Rounds, about: string): string {
  const { replicas, batchSize, epochs, stepsPerEpoch, localSteps, rounds } = of;
  const each = replicas === 1 ? "" : ` of each of ${replicas} replicas`;
  return `${about}${epochs * stepsPerEpoch} steps${each} (${epochs} epochs of ${stepsPerEpoch}) on ${batchSize} images each, in ${rounds} rounds of at most ${localSteps} steps`;
}
