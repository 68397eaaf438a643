import { runKeys, type ObjectStore, type RunConfig } from "@trommel/common";
import {
  computeTuningPlan,
  foldRunsOf,
  networkRunsOf,
  readBackboneSpec,
  tuningRounds,
  untunedOf,
  type TuningRounds,
} from "@trommel/common/artefacts";
import { stepProbes } from "@trommel/common/jobs";
import { autoHeadOf, foldsOf, testShare } from "@trommel/common/recipe";
import type { JobProducer } from "../run-control/queueing/job-producer.js";
import { askWorkers } from "../step-time/ask-workers.js";
import { stepProbeOf } from "../step-time/step-probe.js";
import { refuseLongRounds, timeOfAll, tuningTime, type TuningTime } from "../step-time/tuning-time.js";
import { companionConfigs } from "./resolve-tuning.js";

/** What a tuning would take. */
export interface TuningForecast extends TuningRounds {
  /** Networks with these rounds: 1, or those of the folds if the model takes them, each without one of as many folds. */
  readonly networks: number;
  /** What is tuned for the figures besides: the networks of the folds, each without one of them, and the rounds of one; null without any. */
  readonly folds: { readonly networks: number; readonly rounds: TuningRounds } | null;
  /** False once the run without tuning has divided the images; before that the number of images comes from the shares. */
  readonly isEstimate: boolean;
  /** By a step that a worker has measured; null if none could be asked. */
  readonly time: TuningTime | null;
  /** Why the time is unknown; null if it is known. */
  readonly timeUnknown: string | null;
}

/** One network's rounds, and how many images measure each of them. */
interface Planned {
  readonly rounds: TuningRounds;
  readonly heldOutImages: number;
}

/**
 * @param listed what the prefix lists
 * @param openProducer where workers can be asked
 * @returns null if the recipe does not tune
 * @throws TrommelError as `forecastRun` does
 */
export async function forecastTuning(
  store: ObjectStore,
  config: RunConfig,
  listed: { readonly images: number; readonly classes: number },
  openProducer: () => Promise<JobProducer>,
): Promise<TuningForecast | null> {
  if (config.recipe.tune === null) return null;
  const isEstimate = (await store.head(runKeys(untunedOf(config) ?? "").split)) === undefined;
  const { whole, ofFold } = isEstimate
    ? await estimatePlans(store, config, listed.images)
    : await computePlans(store, config);
  const networks = Math.max(1, networkRunsOf(config).length);
  const others = foldRunsOf(config).length;
  const folds = ofFold === undefined ? null : { networks: others, rounds: ofFold.rounds };
  const classCount = Math.max(2, listed.classes);
  const asked = await askWorkers(openProducer, stepProbes, (untilMs) =>
    stepProbeOf(store, config, { classCount, untilMs }),
  );
  const base = { ...whole.rounds, networks, folds, isEstimate };
  if ("unknown" in asked) return { ...base, time: null, timeUnknown: asked.unknown };
  const { times, workers } = asked;
  refuseLongRounds(config.id, times, whole.rounds);
  const timeOf = (planned: Planned): TuningTime => tuningTime(times, planned.rounds, { ...planned, workers });
  const besides = ofFold === undefined ? { of: whole, count: networks - 1 } : { of: ofFold, count: others };
  const ofFolds = Array.from({ length: besides.count }, () => timeOf(besides.of));
  return { ...base, time: timeOfAll(timeOf(whole), ofFolds, whole.rounds), timeUnknown: null };
}

interface Plans {
  /** What the network of the model takes, or each of its networks. */
  readonly whole: Planned;
  /** What a network takes that is tuned for the figures alone. */
  readonly ofFold: Planned | undefined;
}

async function computePlans(store: ObjectStore, config: RunConfig): Promise<Plans> {
  const [, fold] = companionConfigs(config);
  if (fold !== undefined && networkRunsOf(config).length > 0)
    return { whole: await computeTuningPlan(store, fold), ofFold: undefined };
  return {
    whole: await computeTuningPlan(store, config),
    ofFold: fold === undefined ? undefined : await computeTuningPlan(store, fold),
  };
}

async function estimatePlans(store: ObjectStore, config: RunConfig, images: number): Promise<Plans> {
  const { recipe, backbones } = config;
  const network = await readBackboneSpec(store, backbones[0]?.id ?? "");
  const parts = foldsOf(autoHeadOf(config));
  const untested = images * (1 - (testShare(recipe.split) ?? 0));
  const planOn = (share: number): Planned => ({
    rounds: tuningRounds(
      recipe.tune as NonNullable<typeof recipe.tune>,
      Math.floor(untested * share),
      network,
    ),
    heldOutImages: Math.floor(untested * (1 - share)),
  });
  const withoutOne = planOn((parts - 1) / parts);
  return foldRunsOf(config).length === 0 || networkRunsOf(config).length > 0
    ? { whole: withoutOne, ofFold: undefined }
    : { whole: planOn(1), ofFold: withoutOne };
}
