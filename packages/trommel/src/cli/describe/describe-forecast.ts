import { printable, type ScoringForecast, type TrainingForecast } from "../../index.js";
import { counted } from "./counted.js";
import { formatSeconds } from "../progress-display.js";
import { describeSum } from "./describe-sum.js";

/** What `train --dry-run` says. */
export function* describeForecast({ id, images, classes, tuning }: TrainingForecast): Generator<string> {
  yield `${id}: ${counted(images, "labelled image")} of ${counted(classes, "class", "classes")}`;
  if (tuning === null) return;
  const about = tuning.isEstimate ? "about " : "";
  const { folds, networks } = tuning;
  const without = folds === null ? "the held-out and the test part" : "a test part, if the recipe has one";
  yield networks > 1
    ? `tuning: ${networks} networks, each without one of ${networks} folds: ${about}${counted(tuning.images, "image")}`
    : `tuning: ${about}${counted(tuning.images, "image")}, without ${without}`;
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
  return `time: about ${formatSeconds(seconds)} of tuning on ${counted(workers, "worker")}, a round ${formatSeconds(roundSeconds)}, by a step of ${stepSeconds.toPrecision(2)} s`;
}

type Rounds = NonNullable<NonNullable<TrainingForecast["tuning"]>["folds"]>["rounds"];

function describeRounds(of: Rounds, about: string): string {
  const { replicas, batchSize, epochs, stepsPerEpoch, localSteps, rounds } = of;
  const each = replicas === 1 ? "" : ` of each of ${replicas} replicas`;
  const steps = `${counted(epochs * stepsPerEpoch, "step")}${each} (${counted(epochs, "epoch")} of ${stepsPerEpoch})`;
  return `${about}${steps} on ${counted(batchSize, "image")} each, in ${counted(rounds, "round")} of at most ${counted(localSteps, "step")}`;
}

type Priced = ScoringForecast & { readonly price?: number | null };

/** What the machines cost for the estimated time, to the hundredth; null without an estimate. */
export function priceOf({ estimate }: ScoringForecast, pricePerHour: number): number | null {
  return estimate === null ? null : Math.round((estimate.seconds / 3600) * pricePerHour * 100) / 100;
}

/** What `score --dry-run` says. */
export function* describeScoringForecast(forecast: Priced): Generator<string> {
  const { id, images, sizeBytes, skipped, missing, shards, workers, estimate, estimateUnknown, price } =
    forecast;
  yield `${id}: ${counted(images, "image")} to score in ${counted(shards, "shard")} (${describeSum({ objects: images, sizeBytes })}), ${skipped} skipped`;
  if (missing !== null)
    yield printable(
      `${missing.images} of them ${missing.images === 1 ? "does" : "do"} not exist and would fail, such as ${JSON.stringify(missing.first)}. Check the keys of the manifest and the prefix that they are under`,
    );
  if (workers === 0) yield "no worker serves the queue score now. Start some with 'trommel worker'";
  else if (workers !== null)
    yield `${counted(workers, "worker")} ${workers === 1 ? "serves" : "serve"} the queue score now`;
  if (estimate === null) {
    yield `time: unknown, because ${estimateUnknown}. '--limit 500' into another --output makes a scoring to go by`;
    return;
  }
  const { from, imagesPerSecond, seconds } = estimate;
  const rate = imagesPerSecond.toFixed(imagesPerSecond < 10 ? 1 : 0);
  yield from === null
    ? `about ${timeOf(seconds)}, at ${rate} images a second on ${counted(estimate.workers ?? 1, "worker")}, by what one has measured on a few of them`
    : `about ${timeOf(seconds)}, at the ${rate} images a second of ${from}, with as many workers as it had`;
  if (price !== undefined) yield `price: about ${price ?? "unknown"}`;
}

function timeOf(seconds: number): string {
  if (seconds < 120) return counted(seconds, "second");
  return seconds < 7200 ? `${Math.round(seconds / 60)} minutes` : `${(seconds / 3600).toFixed(1)} hours`;
}
