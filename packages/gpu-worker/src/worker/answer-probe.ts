import { parseAs, toTrommelError, TrommelError, type ObjectStore } from "@trommel/common";
import type { ProbeAnswer, ProbeKind, ProbePayload } from "@trommel/common/jobs";
import { unlessAborted } from "@trommel/common/waiting";
import { DelayedError, WaitingError, type Job } from "bullmq";

/** Workers that may die of it, or seem to, before it is taken for too large. */
const deathsAtMost = 2;
/** For how long it is left to others if it belongs to another store. */
const otherStoreDelayMs = 500;

/** What measures, and what is said if workers die of it. */
export interface ProbeWork<Probe, Times> {
  readonly measure: (probe: Probe) => Promise<Times>;
  readonly died: (deaths: number, probe: Probe) => TrommelError;
}

/**
 * Answers a question of {@link ProbeKind}. Whatever is wrong is an answer too, for nobody else hears of it; only a worker that has to go
 * hands the job back.
 */
export async function answerProbe<Probe extends ProbePayload, Times>(
  kind: ProbeKind<Probe, Times>,
  job: Job,
  token: string | undefined,
  { store, shutdown }: { readonly store: ObjectStore; readonly shutdown: AbortSignal },
  { measure, died }: ProbeWork<Probe, Times>,
): Promise<ProbeAnswer<Times>> {
  try {
    const probe = parseAs(kind.payload, job.data, `the payload of job ${job.id ?? "?"}`);
    if (probe.storeUrl !== store.url) {
      await job.moveToDelayed(Date.now() + otherStoreDelayMs, token);
      throw new DelayedError();
    }
    if (probe.untilMs !== null && Date.now() > probe.untilMs)
      throw new TrommelError("timed-out", "nobody waits for the answer any more");
    if (job.stalledCounter > deathsAtMost) throw died(job.stalledCounter, probe);
    return { times: await unlessAborted(shutdown, measure(probe)) };
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
