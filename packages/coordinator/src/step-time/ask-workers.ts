import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { messageOf, stopReasonToThrow } from "@trommel/common";
import type { ProbeKind, ProbePayload } from "@trommel/common/jobs";
import type { JobProducer } from "../run-control/queueing/job-producer.js";

/** How long an answer is waited for. */
interface Patience {
  /** Workers may be tuning something else, or a step may be slow. */
  readonly seenMs: number;
  /** If Redis names no worker: it may hide them. */
  readonly unseenMs: number;
}

const defaultPatience: Patience = { seenMs: 120_000, unseenMs: 5_000 };
const lookMs = 100;

/** What a worker has measured, or why none has. */
type Asked<Times> =
  | {
      /** That serve the queue of the question. */
      readonly workers: number;
      readonly times: Times;
    }
  | { readonly unknown: string };

/**
 * Lets a worker measure, for a bounded time.
 * @param openProducer where workers can be asked; without it the times are unknown
 * @throws TrommelError what the worker answered
 */
export async function askWorkers<Probe extends ProbePayload, Times>(
  openProducer: () => Promise<JobProducer>,
  kind: ProbeKind<Probe, Times>,
  probeUntil: (untilMs: number) => Probe,
  patience = defaultPatience,
): Promise<Asked<Times>> {
  let producer: JobProducer;
  try {
    producer = await openProducer();
  } catch (thrown) {
    return { unknown: messageOf(thrown) };
  }
  return ask(producer, kind, probeUntil, patience);
}

async function ask<Probe extends ProbePayload, Times>(
  producer: JobProducer,
  kind: ProbeKind<Probe, Times>,
  probeUntil: (untilMs: number) => Probe,
  { seenMs, unseenMs }: Patience,
): Promise<Asked<Times>> {
  const { queue, job } = kind;
  const workers = await producer.workersOf(queue).catch(() => 0);
  const waitMs = workers === 0 ? unseenMs : seenMs;
  const untilMs = Date.now() + waitMs;
  const jobId = `${job}.${randomUUID()}`;
  await producer.addProbe(kind, jobId, probeUntil(untilMs));
  try {
    while (Date.now() < untilMs) {
      const answer = await producer.probeAnswer(kind, jobId);
      if (answer === undefined) return { unknown: "Redis has lost the question" };
      if (answer !== null && "error" in answer) throw stopReasonToThrow({ ...answer.error, stage: "" });
      if (answer !== null) return { workers: Math.max(1, workers), times: answer.times };
      await sleep(lookMs);
    }
  } finally {
    // One that a worker has just begun stays: its answer is kept for a while, and nobody reads it.
    await producer.removeProbe(kind, jobId).catch(() => undefined);
  }
  if (workers === 0)
    return { unknown: `no worker serves the queue ${queue}. Start one with 'trommel worker'` };
  const who = workers === 1 ? `the worker of the queue ${queue} has not` : `none of ${workers} workers has`;
  return { unknown: `${who} answered within ${waitMs / 1000} s: busy, or of another store` };
}
