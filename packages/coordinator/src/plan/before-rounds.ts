import { runKeys, stopReasonToThrow, type ObjectStore, type RunConfig } from "@trommel/common";
import { findListing, untunedOf, type TuningPlan } from "@trommel/common/artefacts";
import { stepProbes } from "@trommel/common/jobs";
import { checkClassWeights } from "@trommel/common/recipe";
import { stepProbeOf } from "../step-time/step-probe.js";
import { refuseLongRounds, tuningTime } from "../step-time/tuning-time.js";
import type { PlanContext } from "./plan-context.js";
import { PlanLater } from "./plan-later.js";

/** How soon it looks again for a worker's answer. */
const answerDelayMs = 250;

/**
 * Refuses weights of classes that no folder has, as soon as the listing is complete.
 * @throws TrommelError `invalid-argument`
 */
export async function refuseUnknownClasses(config: RunConfig, store: ObjectStore): Promise<void> {
  const { recipe } = config;
  if (typeof recipe.tune?.classWeights !== "object") return;
  const listing = await findListing(store, runKeys(untunedOf(config) ?? "").listing);
  const labels = listing?.classes?.map(({ label }) => label);
  if (labels !== undefined) checkClassWeights(recipe, labels);
}

/**
 * Lets a worker measure a step before the first round, says how long the rounds take, and refuses rounds that are too long.
 * @throws PlanLater until a worker has answered; TrommelError what it answered, or `invalid-argument`
 */
export async function forecastRounds(
  config: RunConfig,
  { rounds, heldOutImages }: TuningPlan,
  { store, producer, liveRun, attempt }: PlanContext,
): Promise<void> {
  const { id } = config;
  const jobId = `${id}.${attempt}.step-probe`;
  const answer = await producer.probeAnswer(stepProbes, jobId);
  if (answer === undefined) {
    const listing = await findListing(store, runKeys(untunedOf(config) ?? "").listing);
    const classCount = Math.max(2, listing?.classes?.length ?? 0);
    await producer.addProbe(stepProbes, jobId, stepProbeOf(store, config, { classCount, untilMs: null }));
  }
  if (answer === undefined || answer === null) {
    await liveRun.setTotal(attempt, "plan-tune", 1);
    await liveRun.setNote(attempt, "plan-tune", "a worker measures a step");
    throw new PlanLater(answerDelayMs);
  }
  if ("error" in answer) throw stopReasonToThrow({ ...answer.error, stage: "" });
  refuseLongRounds(id, answer.times, rounds);
  const workers = Math.max(1, await producer.workersOf("tune").catch(() => 1));
  const { seconds, stepSeconds } = tuningTime(answer.times, rounds, { heldOutImages, workers });
  await liveRun.setNote(
    attempt,
    "plan-tune",
    `about ${Math.max(1, Math.round(seconds / 60))} min, by a step of ${stepSeconds.toPrecision(2)} s`,
  );
}
