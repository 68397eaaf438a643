import type { ScoringForecast, TrainingForecast } from "../index.js";
import { formatSeconds } from "./progress-display.js";
import { describeSum } from "./describe-sum.js";

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

type Priced = ScoringForecast & { readonly price?: number | null };

/** What the machines cost for the estimated time, to the hundredth; null without an estimate. */
export function priceOf({ estimate }: ScoringForecast, pricePerHour: number): number | null {
  return estimate === null ? null : Math.round((estimate.seconds / 3600) * pricePerHour * 100) / 100;
}

/** What `score --dry-run` says. */
export function* describeScoringForecast(forecast: Priced): Generator<string> {
  const { id, images, sizeBytes, skipped, shards, workers, estimate, price } = forecast;
  yield `${id}: ${images} images to score in ${shards} shards (${describeSum({ objects: images, sizeBytes })}), ${skipped} skipped`;
  if (workers === 0) yield "no worker serves the queue score now. Start some with 'trommel worker'";
  else if (workers !== null) yield `${workers} workers serve the queue score now`;
  if (estimate === null) {
    yield "no estimate: no scoring by this model is finished in this store. '--limit 500' into another --output makes one to go by";
    return;
  }
  const { from, imagesPerSecond, seconds } = estimate;
  const rate = imagesPerSecond.toFixed(imagesPerSecond < 10 ? 1 : 0);
  yield `about ${timeOf(seconds)}, at the ${rate} images a second of ${from}, with as many workers as it had`;
  if (price !== undefined) yield `price: about ${price ?? "unknown"}`;
}

function timeOf(seconds: number): string {
  if (seconds < 120) return `${seconds} seconds`;
  return seconds < 7200 ? `${Math.round(seconds / 60)} minutes` : `${(seconds / 3600).toFixed(1)} hours`;
}
