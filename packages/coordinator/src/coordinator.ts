import { hostname } from "node:os";
import {
  defaultOutstandingShards,
  isRedisFull,
  messageOf,
  openStore,
  jobPayload,
  parseAs,
  queuePrefix,
  ReleaseStack,
  LiveRun,
  runConfig,
  scoringConfig,
  subjectKeys,
  TrommelError,
  workerTimings,
  type JobPayload,
  type ObjectStore,
  type RunConfig,
  type ScoringConfig,
} from "@trommel/common";
import { concludeFailure, connectRedis, tooManyDeaths, treatmentAfter } from "@trommel/common/redis";

import { withTimeout } from "@trommel/common/waiting";
import { parseSealedAs } from "@trommel/common/codec";
import { loadStages, stages, stageTable, type StageFunction, type SubjectKind } from "@trommel/common/jobs";
import { readBounds } from "@trommel/common/store";
import { UnrecoverableError, WaitingError, Worker, type Job } from "bullmq";
import type { Redis } from "ioredis";
import type { Logger } from "pino";
import type { PlanContext } from "./plan/plan-context.js";
import { takeBackShards } from "./plan/take-back-shards.js";
import { JobProducer } from "./run-control/job-producer.js";

/** Runs that one coordinator plans at the same time: listing and queueing is mostly waiting. */
const planConcurrency = 32;

export interface Coordinator {
  /** Returns unfinished plans to the queue, within `drainMs`, and releases everything. */
  stop(drainMs?: number): Promise<void>;
}

/**
 * Serves the plan queue: turns prefixes into shards and jobs. Holds no ML runtime.
 * Any number of coordinators may run; BullMQ gives each plan to one.
 */
export async function startCoordinator(options: {
  readonly redisUrl: string;
  readonly store: ObjectStore;
  readonly log: Logger;
  /** @default {@link defaultOutstandingShards} */
  readonly outstandingShards?: number;
  /** Opens the source of the images. @default by its location */
  readonly openSource?: typeof openStore;
}): Promise<Coordinator> {
  const { store, log } = options;
  const planned = stages.filter((stage) => stageTable[stage].runsOn === "coordinator");
  const plannerOf = await loadStages(planned, new URL("./plan/", import.meta.url));
  const releases = new ReleaseStack();
  const connection = connectRedis(options.redisUrl);
  releases.add("redis", () => connection.disconnect());
  const producer = new JobProducer(options.redisUrl);
  releases.add("producer", () => producer.close());
  const stopping = new AbortController();
  const full = fullRedisReport(log);
  const worker = new Worker(
    "plan",
    planProcessor({
      connection,
      log,
      stopping: stopping.signal,
      plannerOf,
      shared: {
        store,
        producer,
        openSource: options.openSource ?? openStore,
        outstandingAtMost: options.outstandingShards ?? defaultOutstandingShards,
        signal: stopping.signal,
        onNotice: (notice) => log.warn(notice),
        onFull: full.report,
      },
    }),
    {
      connection,
      prefix: queuePrefix,
      // Each job says which process has it (`pb` in its hash).
      name: `${hostname()}:${process.pid}`,
      concurrency: planConcurrency,
      drainDelay: 1,
      ...workerTimings,
    },
  );
  worker.on("error", (error) => {
    if (isRedisFull(error)) full.report();
    else log.warn({ reason: error.message }, "error of the plan queue");
  });
  worker.on("completed", full.reset);
  try {
    await withTimeout({ timeoutMs: 10_000, doing: "reach Redis" }, worker.waitUntilReady());
  } catch (thrown) {
    await releases.releaseAll();
    throw thrown;
  }
  return {
    stop: async (drainMs = 10_000) => {
      stopping.abort(new TrommelError("cancelled", "the coordinator stops; another continues"));
      await withTimeout({ timeoutMs: drainMs, doing: "stop the coordinator" }, worker.close()).catch(
        (thrown: unknown) => {
          log.warn(
            { reason: messageOf(thrown) },
            "cannot stop all plans in time; their locks expire by themselves",
          );
        },
      );
      for (const failure of await releases.releaseAll()) log.warn({ failure }, "failed to release");
    },
  };
}

/** Logs that Redis is full once until there is room again: BullMQ fails at every poll. */
function fullRedisReport(log: Logger): { readonly report: () => void; readonly reset: () => void } {
  let reported = false;
  return {
    report: () => {
      if (!reported) log.warn("Redis is full (maxmemory): jobs are queued as it has room again");
      reported = true;
    },
    reset: () => (reported = false),
  };
}

/** Does one job of the plan queue. A plan that is interrupted by the coordinator's stop goes back to the queue. */
function planProcessor(options: {
  readonly connection: Redis;
  readonly log: Logger;
  readonly stopping: AbortSignal;
  readonly plannerOf: (stage: JobPayload["stage"]) => StageFunction;
  readonly shared: Omit<PlanContext, "attempt" | "liveRun">;
}): (job: Job, token?: string) => Promise<void> {
  const { connection, log, stopping, plannerOf, shared } = options;
  return async (job, token) => {
    const payload = parseAs(jobPayload, job.data, `the payload of job ${job.id ?? "?"}`);
    const liveRun = new LiveRun(connection, payload.id);
    try {
      if (treatmentAfter(job.stalledCounter, 0) === "give-up") {
        throw tooManyDeaths(payload.stage, job.stalledCounter);
      }
      const context = { ...shared, attempt: payload.attempt, liveRun };
      await plan(payload, plannerOf(payload.stage), context);
      log.info({ run: payload.id }, "planned");
    } catch (thrown) {
      if (stopping.aborted) {
        await job.moveToWait(token);
        throw new WaitingError();
      }
      throw await concludeFailure({
        payload,
        token,
        attemptsMade: job.attemptsMade,
        attempts: job.opts.attempts,
        thrown,
        redis: connection,
        store: shared.store,
        log,
        beforeTelling: async ({ code }) => {
          if (code !== "bad-dataset" || (await liveRun.isOver(payload.attempt))) return;
          await takeBackShards(shared.store, { kind: stageTable[payload.stage].subject, id: payload.id });
        },
        unrecoverable: UnrecoverableError,
      });
    }
  };
}

async function plan(payload: JobPayload, planner: StageFunction, context: PlanContext): Promise<void> {
  const { id, attempt, stage } = payload;
  const { store, liveRun } = context;
  if (await liveRun.isOver(attempt))
    throw new TrommelError("cancelled", `cannot plan ${id}: it was cancelled`);
  await planner(await readConfig(stageTable[stage].subject, id, store), context);
  try {
    await liveRun.setTotal(attempt, payload.stage, 1);
    await liveRun.countDone(attempt, payload.stage, 0);
  } catch (thrown) {
    // A plan does not fail because its progress cannot be shown: everything is queued.
    if (!isRedisFull(thrown)) throw thrown;
  }
}

async function readConfig(
  kind: SubjectKind,
  id: string,
  store: ObjectStore,
): Promise<RunConfig | ScoringConfig> {
  const key = subjectKeys({ kind, id }).config;
  const body = await store.get(key, readBounds.document);
  return kind === "run" ? parseSealedAs(runConfig, body, key) : parseSealedAs(scoringConfig, body, key);
}
