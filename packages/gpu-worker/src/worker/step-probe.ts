import { parseAs, toTrommelError, TrommelError, type ObjectStore } from "@trommel/common";
import { stepProbe, type StepProbeAnswer } from "@trommel/common/jobs";
import { unlessAborted } from "@trommel/common/waiting";
import { DelayedError, WaitingError, type Job } from "bullmq";
import type { StageTuner } from "../stages/context.js";

/** Workers that may die of it, or seem to, before it is taken for too large. */
const deathsAtMost = 2;
/** For how long it is left to others if it belongs to another store. */
const otherStoreDelayMs = 500;

/**
 * Answers how long a step of tuning takes here. Whatever is wrong is an answer too, for nobody else hears of it; only a worker that has
 * to go hands the job back.
 */
export async function answerStepProbe(
  job: Job,
  token: string | undefined,
  options: {
    readonly store: ObjectStore;
    readonly tuner: StageTuner;
    readonly drainMs: number | null;
    readonly shutdown: AbortSignal;
  },
): Promise<StepProbeAnswer> {
  const { store, tuner, drainMs, shutdown } = options;
  try {
    const probe = parseAs(stepProbe, job.data, `the payload of job ${job.id ?? "?"}`);
    if (probe.storeUrl !== store.url) {
      await job.moveToDelayed(Date.now() + otherStoreDelayMs, token);
      throw new DelayedError();
    }
    if (probe.untilMs !== null && Date.now() > probe.untilMs)
      throw new TrommelError("timed-out", "nobody waits for the step's time any more");
    if (job.stalledCounter > deathsAtMost) throw died(job.stalledCounter, probe.tune.batchSize);
    return { times: { ...(await unlessAborted(shutdown, tuner.measure(probe))), drainMs } };
  } catch (thrown) {
    if (thrown instanceof DelayedError) throw thrown;
    if (shutdown.aborted) {
      await job.moveToWait(token);
      throw new WaitingError();
    }
    const { code, message } = toTrommelError(thrown);
    return { error: { code, message } };
  }
}

function died(deaths: number, batchSize: number): TrommelError {
  return new TrommelError(
    "exhausted",
    `cannot take a step of tuning: ${deaths} times the worker that tried died or was not heard of for seconds. See in its log and the kernel's whether memory ran out, and lower tune.batchSize, which is ${batchSize}, or give the workers more memory`,
  );
}
