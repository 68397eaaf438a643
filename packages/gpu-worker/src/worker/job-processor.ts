import {
  jobPayload,
  messageOf,
  parseAs,
  LiveRun,
  subjectKeys,
  toTrommelError,
  TrommelError,
  type JobPayload,
  type ObjectStore,
} from "@trommel/common";
import { requireFewFailures } from "@trommel/common/artefacts";
import { outcomeOf } from "@trommel/common/metrics";
import { beginShare, concludeFailure, isQueued, jobsAhead } from "@trommel/common/redis";
import {
  logFieldsOf,
  mayStart,
  scoreProbes,
  singleJob,
  stageTable,
  stepProbes,
  unitOf,
  type ProbeAnswer,
} from "@trommel/common/jobs";
import { DelayedError, UnrecoverableError, WaitingError, type Job } from "bullmq";
import type { Redis } from "ioredis";
import { JobWatch } from "./job-watch.js";
import type { JobRouter } from "./job-router.js";
import { trialAfterDeaths } from "./death-trial.js";
import { answerScoreProbe } from "./score-probe.js";
import { answerStepProbe } from "./step-probe.js";
import type { WorkTally } from "./work-tally.js";
import { MadeElsewhere, type StageDevice, type StageOutcome, type WorkerContext } from "../stages/context.js";
import { unlessAborted } from "@trommel/common/waiting";

/** How soon a job looks again whether an object that it needs has been written. */
const neededDelayMs = 1000;
/** How soon a job looks again whether another has made the feature shard that both want. */
const claimedDelayMs = 1000;

/** How soon a job looks again whether its run has fewer jobs under way than it may have. */
const limitDelayMs = 500;

/** For how long a job that belongs to another store is left to others. */
const otherStoreDelayMs = 2000;

export interface ProcessorOptions extends WorkerContext {
  readonly redis: Redis;
  readonly route: JobRouter;
  /** Aborts when the worker has to go: jobs under way are handed back. */
  readonly shutdown: AbortSignal;
  /** How long jobs under way may go on once it has to go; null for a worker that ends with its command. */
  readonly drainMs: number | null;
  /** Stages under way; one that was handed back is, until it has noticed. */
  readonly underWay: Set<Promise<unknown>>;
  readonly tally: WorkTally;
}

/** Makes BullMQ's processor: it parses the payload, runs the stage, counts the result in Redis and words errors for the queue. */
export function createProcessor(options: ProcessorOptions) {
  let begun = 0;
  return async (job: Job, token?: string): Promise<StageOutcome | ProbeAnswer<unknown>> => {
    if (job.name === stepProbes.job) return answerStepProbe(job, token, options);
    const order = begun;
    begun += 1;
    if (job.name === scoreProbes.job) return answerScoreProbe(job, token, options, order);
    const payload = parseAs(jobPayload, job.data, `the payload of job ${job.id ?? "?"}`);
    const liveRun = new LiveRun(options.redis, payload.id);
    const log = options.log.child(logFieldsOf(job, payload));
    const watch = new JobWatch(job, payload, liveRun, { ...options, log });
    let ended: ReturnType<WorkTally["begin"]> = () => undefined;
    try {
      const { isOver, storeUrl, jobsAtMost } = await liveRun.attemptState(payload.attempt);
      if (isOver || (await isCancelled(payload, options.store))) {
        throw new TrommelError(
          "cancelled",
          `cannot do ${payload.stage} of ${payload.id}: it was cancelled, or a newer attempt has replaced this one`,
        );
      }
      await refuseOtherStore(job, token, storeUrl, options);
      if (jobsAtMost !== undefined && (await jobsAhead(options.redis, payload)) >= jobsAtMost)
        await stepBack(job, token, limitDelayMs);
      await beginShare(options.redis, payload);
      await waitForNeeded(payload, job, token, options);
      ended = options.tally.begin(payload, job.stalledCounter);
      const trial = await trialAfterDeaths(job, payload, options.redis);
      if (trial !== undefined) {
        log.warn({ deaths: job.stalledCounter }, "decoding its files one by one");
      }
      const work = options.route(payload, { ...watch.context, trial, order });
      options.underWay.add(work);
      const deviceIdle = watchDevice(options.device);
      const done = await unlessAborted(
        options.shutdown,
        work.finally(() => options.underWay.delete(work)),
      ).catch(async (thrown: unknown) => {
        if (!(thrown instanceof MadeElsewhere)) throw thrown;
        return await stepBack(job, token, claimedDelayMs);
      });
      const outcome =
        stageTable[payload.stage].runsOn === "device" ? { ...done, deviceIdle: deviceIdle() } : done;
      await watch.stop({ done: true });
      ended("done", { work: outcome });
      // A job does not fail because its progress cannot be shown: its work is committed.
      await tellDone(payload, outcome, liveRun).catch((thrown: unknown) => {
        log.warn({ reason: messageOf(thrown) }, "cannot note in Redis that the job is done");
      });
      log.info({ ...outcome }, "done");
      await stopAtTooMany(payload, liveRun, options.store);
      return outcome;
    } catch (thrown) {
      await watch.stop({ done: false });
      if (thrown instanceof DelayedError) {
        ended("handed-back");
        throw thrown;
      }
      if (options.shutdown.aborted) {
        ended("handed-back");
        await job.moveToWait(token);
        throw new WaitingError();
      }
      const error = await concludeFailure({
        payload,
        token,
        attemptsMade: job.attemptsMade,
        attempts: job.opts.attempts,
        thrown,
        redis: options.redis,
        store: options.store,
        log,
        unrecoverable: UnrecoverableError,
      });
      const outcome = outcomeOf(thrown, error instanceof UnrecoverableError);
      ended(outcome, { code: toTrommelError(thrown).code });
      throw error;
    }
  };
}

/**
 * @returns the share of the time since this call, 0 to 1, in which the device had nothing to do: neither for this job nor
 *   for another. To three digits
 */
function watchDevice(device: StageDevice): () => number {
  const startMs = performance.now();
  const idleBeforeMs = device.idleMs;
  return () => {
    const idle = (device.idleMs - idleBeforeMs) / device.sessionCount / (performance.now() - startMs);
    return Math.round(idle * 1000) / 1000;
  };
}

/** A cancellation that Redis does not know about: checked once per job, because it costs a request to the store. */
async function isCancelled({ stage, id }: JobPayload, store: ObjectStore): Promise<boolean> {
  const { cancelled } = subjectKeys({ kind: stageTable[stage].subject, id });
  return (await store.head(cancelled)) !== undefined;
}

/** The plan announces how many jobs a stage of many has. */
async function tellDone(payload: JobPayload, outcome: StageOutcome, liveRun: LiveRun): Promise<void> {
  const { attempt, stage } = payload;
  const unit = unitOf(payload);
  if (stageTable[stage].counts === "epochs") return;
  if (unit === undefined) await liveRun.setTotal(attempt, stage, 1);
  await liveRun.countDone(attempt, stage, unit ?? 0, outcome);
}

/**
 * The shard is committed in any case, so that a resume with another limit scores it no second time: the attempt counts its failed images.
 * @throws TrommelError `too-many-failures`
 */
async function stopAtTooMany(
  { attempt, stage, id }: JobPayload,
  liveRun: LiveRun,
  store: ObjectStore,
): Promise<void> {
  if (stage !== "score") return;
  await requireFewFailures(store, id, async () => (await liveRun.progress(attempt, stage)).failedImages);
}

/** Leaves a job for later, which counts as no try of it. */
async function stepBack(job: Job, token: string | undefined, delayMs: number): Promise<never> {
  await job.moveToDelayed(Date.now() + delayMs, token);
  throw new DelayedError();
}

/** A worker with another store would find nothing and fail the run; it leaves the job to others and says so. */
async function refuseOtherStore(
  job: Job,
  token: string | undefined,
  theirs: string | undefined,
  { store, log }: ProcessorOptions,
): Promise<void> {
  if (theirs === undefined || theirs === store.url) return;
  log.error(
    `cannot take ${job.id ?? "a job"}: its run is in ${theirs}, and this worker's store is ${store.url}. Start it with --store ${theirs}`,
  );
  await stepBack(job, token, otherStoreDelayMs);
}

/** A job steps back as long as an object is missing that its place in the flow does not guarantee, see {@link mayStart}. */
async function waitForNeeded(
  { stage, id, attempt }: JobPayload,
  job: Job,
  token: string | undefined,
  { redis, store }: ProcessorOptions,
): Promise<void> {
  const { needs } = stageTable[stage];
  if (needs === undefined) return;
  const key = needs.object(id);
  const makerQueued = await isQueued(redis, singleJob(needs.stage, id, attempt));
  const written = (await store.head(key)) !== undefined;
  const may = mayStart({ makerQueued, written });
  if (may === "start") return;
  if (may === "give-up") {
    throw new TrommelError(
      "missing-input",
      `cannot start ${stage} of ${id}: ${needs.stage} ended without writing ${key}. 'trommel resume ${id}' plans it again`,
      { context: { key } },
    );
  }
  await stepBack(job, token, neededDelayMs);
}
