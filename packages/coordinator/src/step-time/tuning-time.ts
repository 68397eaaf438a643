import { TrommelError } from "@trommel/common";
import type { TuningRounds } from "@trommel/common/artefacts";
import type { StepTimes } from "@trommel/common/jobs";

/** How long tuning takes, by the steps of one worker: without the run that it follows, and what comes after the last round. */
export interface TuningTime {
  /** Workers that serve the queue of tuning. */
  readonly workers: number;
  readonly stepSeconds: number;
  /** One of the longest rounds, with its merge. */
  readonly roundSeconds: number;
  /** All rounds of all networks. */
  readonly seconds: number;
}

export function tuningTime(
  { openMs, stepMs, heldOutImageMs }: StepTimes,
  { replicas, localSteps, stepsPerEpoch, rounds, epochs }: TuningRounds,
  {
    heldOutImages,
    workers,
  }: {
    /** That every merge measures. */
    readonly heldOutImages: number;
    readonly workers: number;
  },
): TuningTime {
  const turns = Math.ceil(replicas / workers);
  // A merge opens the network as well.
  const roundMs = (turns + 1) * openMs + heldOutImages * heldOutImageMs;
  return {
    workers,
    stepSeconds: stepMs / 1000,
    roundSeconds: (roundMs + turns * localSteps * stepMs) / 1000,
    seconds: (rounds * roundMs + epochs * turns * stepsPerEpoch * stepMs) / 1000,
  };
}

/**
 * Several networks share the workers, and each keeps as many of them busy as it has replicas.
 * @param others the networks that are tuned besides, such as those of folds
 */
export function timeOfAll(
  whole: TuningTime,
  others: readonly TuningTime[],
  { replicas }: Pick<TuningRounds, "replicas">,
): TuningTime {
  const atOnce = Math.min(1 + others.length, Math.max(1, Math.floor(whole.workers / replicas)));
  const seconds = others.reduce((sum, other) => sum + other.seconds, whole.seconds);
  return { ...whole, seconds: seconds / atOnce };
}

/**
 * A worker that has to stop, as those of spot machines, gives up a round that takes longer than its drain.
 * @throws TrommelError `invalid-argument` saying how many steps end in time
 */
export function refuseLongRounds(
  id: string,
  { openMs, stepMs, drainMs }: StepTimes,
  { localSteps }: TuningRounds,
): void {
  const roundMs = openMs + localSteps * stepMs;
  if (drainMs === null || roundMs <= drainMs) return;
  const inTime = Math.floor((drainMs - openMs) / stepMs);
  const seconds = (ms: number): string => `${(ms / 1000).toPrecision(3)} s`;
  const fewer =
    inTime > 0
      ? `Set tune.localSteps to ${inTime} or less`
      : "Set tune.localSteps to 1 and lower tune.batchSize";
  throw new TrommelError(
    "invalid-argument",
    `cannot tune ${id} in rounds of ${localSteps} steps: on the worker that was asked a step takes ${seconds(stepMs)} and a round ${seconds(roundMs)}, and workers that have to stop give up what takes longer than ${seconds(drainMs)}. ${fewer} under an id that is new, or give the workers more time (--drain-seconds)`,
    { context: { localSteps, stepMs: Math.round(stepMs), drainMs } },
  );
}
