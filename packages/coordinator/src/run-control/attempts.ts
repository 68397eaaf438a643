import { findMarker, LiveRun, runKeys, subjectKeys, type ObjectStore } from "@trommel/common";
import { neededRunsOf } from "@trommel/common/artefacts";
import { jsonBytes, putJson } from "@trommel/common/codec";
import { flowOf, readSteering, writeSteering, type Steering } from "@trommel/common/jobs";
import { rootJobId, type JobProducer } from "./queueing/job-producer.js";
import { readStatus } from "./status.js";
import { findSubject, traitsOf, type Subject } from "./subject.js";

/**
 * Writes a mark that survives Redis; workers see it at their next shard, and at once if Redis has it too. Redis gets it
 * first: a resume removes the mark from the store and then from Redis, so in whichever order the four steps happen, a run
 * without the mark in the store is not cancelled in Redis either. With a run that tunes those that came with it are cancelled, unless
 * they are complete.
 * @param options.paused marks it as paused: it waits for a person to continue it. Without it one that was paused is cancelled. @default false
 */
export async function cancelSubject(
  store: ObjectStore,
  subject: Subject,
  producer: JobProducer | undefined,
  { paused = false } = {},
): Promise<void> {
  for (const needed of await neededBy(store, subject))
    if (!isShared(subject) && (await readStatus(store, needed, producer)).phase !== "complete")
      await cancelSubject(store, needed, producer, { paused });
  const body = jsonBytes({ formatVersion: 1, id: subject.id });
  const { paused: mark } = subjectKeys(subject);
  await (paused ? putJson(store, mark, body) : store.delete([mark]));
  if (producer !== undefined) await new LiveRun(producer.redis, subject.id).cancel();
  await putJson(store, subjectKeys(subject).cancelled, body);
}

/**
 * Changes how a subject is worked on, now and in later attempts: the coordinator reads the mark with every batch that it queues, and
 * Redis knows the limit at once. What is left out stays as it is.
 */
export async function steerSubject(
  store: ObjectStore,
  subject: Subject,
  producer: JobProducer,
  changes: { readonly [Field in keyof Steering]?: Steering[Field] | undefined },
): Promise<void> {
  await writeSteering(store, subject, changes);
  const liveRun = new LiveRun(producer.redis, subject.id);
  if (changes.jobsAtMost !== undefined && (await liveRun.state()) !== undefined)
    await copyLimit(store, subject, liveRun);
}

/** Copies the limit to Redis until it is that of the store: another change may come between. */
async function copyLimit(store: ObjectStore, subject: Subject, liveRun: LiveRun): Promise<void> {
  let { jobsAtMost } = await readSteering(store, subject);
  for (;;) {
    await liveRun.setLimit(jobsAtMost);
    const now = await readSteering(store, subject);
    if (now.jobsAtMost === jobsAtMost) return;
    ({ jobsAtMost } = now);
  }
}

/** None once its heads are chosen: those are complete then, and may have been removed. */
async function neededBy(store: ObjectStore, subject: Subject): Promise<Subject[]> {
  if (subject.kind !== "run") return [];
  const ids = neededRunsOf(subject.config);
  if (ids.length > 0 && (await findMarker(store, runKeys(subject.id).choice)) !== undefined) return [];
  return Promise.all(ids.map((id) => findSubject(store, id)));
}

/** Whether other runs too need what a run needs: those of the other folds. */
function isShared(subject: Subject): boolean {
  return subject.kind === "run" && subject.config.foldOf !== undefined;
}

/**
 * Opens the next attempt and queues it. Jobs whose marker is there end at once, so nothing is done twice. A run that tunes begins
 * with attempts of the runs that it needs, unless they are complete or under way.
 * @param seen the attempt that was seen to have ended, undefined for none
 * @returns the attempt's number, undefined if another command has opened one since
 */
export async function startAttempt(
  store: ObjectStore,
  subject: Subject,
  producer: JobProducer,
  seen: number | undefined,
): Promise<number | undefined> {
  for (const needed of await neededBy(store, subject)) {
    const { phase, attempt } = await readStatus(store, needed, producer);
    if (phase !== "complete" && phase !== "running") await startAttempt(store, needed, producer, attempt);
  }
  const { cancelled, paused, stopReason } = subjectKeys(subject);
  await store.delete([cancelled, paused, stopReason]);
  const liveRun = new LiveRun(producer.redis, subject.id);
  const flow = flowOf(subject.kind, traitsOf(subject));
  const rootOf = (attempt: number): string => rootJobId(flow, subject.id, attempt);
  const attempt = await liveRun.open(rootOf, store.url, seen);
  if (attempt === undefined) return undefined;
  await copyLimit(store, subject, liveRun);
  await producer.addFlow(flow, subject.id, attempt);
  await liveRun.opened();
  return attempt;
}
