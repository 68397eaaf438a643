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
  shardsPerGram,
  subjectKeys,
  toTrommelError,
  TrommelError,
  workerTimings,
  type JobPayload,
  type ObjectStore,
  type RunConfig,
  type ScoringConfig,
  type Stage,
} from "@trommel/common";
import {
  concludeFailure,
  connectRedis,
  MemberBeat,
  memberName,
  memberVersion,
  runWhenReady,
  tooManyDeaths,
  treatmentAfter,
} from "@trommel/common/redis";

import { ClusterMetrics, outcomeOf, serveMetrics } from "@trommel/common/metrics";
import { flushTracing, startTracing, tracingOptions } from "@trommel/common/tracing";
import { unlessAborted, withTimeout } from "@trommel/common/waiting";
import { sortingConfig, type SortingConfig } from "@trommel/common/artefacts";
import { parseSealedAs } from "@trommel/common/codec";
import {
  costs,
  logFieldsOf,
  loadStages,
  readSteering,
  stages,
  stageTable,
  type StageFunction,
  type SubjectKind,
} from "@trommel/common/jobs";
import { readBounds } from "@trommel/common/store";
import { DelayedError, UnrecoverableError, WaitingError, Worker, type Job } from "bullmq";
import type { Redis } from "ioredis";
import type { Logger } from "pino";
import type { PlanContext } from "./plan/plan-context.js";
import { PlanLater } from "./plan/plan-later.js";
import { takeBackShards } from "./plan/take-back-shards.js";
import { lookAtCluster } from "./run-control/look-at-cluster.js";
import { QueueErrors } from "./queue-errors.js";
import { JobProducer } from "./run-control/queueing/job-producer.js";

/** Runs that one coordinator plans at the same time: listing and queueing is mostly waiting. */
const planConcurrency = 32;

/** Queued shards for each that may be under way, where a run has a limit. */
const queuedPerJob = 4;

/** Images of a shard that costs what its priority says. Others cost in proportion, but no less and no more than this. */
const usualShard = 256;
const costFactor = { atLeast: 1 / 4, atMost: 4 };

/** How long a coordinator waits for its plans when Redis refuses what they need. */
const refusedDrainMs = 1000;

export interface Coordinator {
  /** @throws TrommelError if it can plan nothing any more: Redis refuses for good what it needs */
  check(): void;
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
  /** `host:port` that metrics are served at. @default none */
  readonly metrics?: string | undefined;
  /** Opens the source of the images. @default by its location */
  readonly openSource?: typeof openStore;
}): Promise<Coordinator> {
  const { store, log } = options;
  const planned = stages.filter((stage) => stageTable[stage].runsOn === "coordinator");
  const plannerOf = await loadStages(planned, new URL("./plan/", import.meta.url));
  const releases = new ReleaseStack();
  await startTracing("coordinator");
  releases.add("traces", flushTracing);
  const refused = new AbortController();
  const connection = connectRedis(options.redisUrl, (error) => refused.abort(error));
  releases.add("redis", () => connection.disconnect());
  const producer = new JobProducer(options.redisUrl);
  releases.add("producer", () => producer.close());
  const stopping = new AbortController();
  const metrics = new ClusterMetrics();
  metrics.build.set({ version: memberVersion, kind: "coordinator" }, 1);
  if (options.metrics !== undefined) {
    try {
      const look = () => lookAtCluster(producer, metrics);
      const server = await serveMetrics(options.metrics, metrics, look);
      releases.add("metrics", () => server.stop());
      log.info(`metrics at ${server.url}`);
    } catch (thrown) {
      await releases.releaseAll();
      throw thrown;
    }
  }
  const errors = new QueueErrors(log);
  const worker = new Worker(
    "plan",
    planProcessor({
      connection,
      log,
      stopping: stopping.signal,
      plannerOf,
      metrics,
      shared: {
        store,
        producer,
        openSource: options.openSource ?? openStore,
        outstandingAtMost: options.outstandingShards ?? defaultOutstandingShards,
        signal: stopping.signal,
        onNotice: (notice) => log.warn(notice),
        onFull: errors.reportFull,
      },
    }),
    {
      connection,
      prefix: queuePrefix,
      // Each job says which process has it (`pb` in its hash).
      name: memberName(),
      concurrency: planConcurrency,
      drainDelay: 1,
      ...tracingOptions(),
      autorun: false,
      ...workerTimings,
    },
  );
  worker.on("error", errors.report);
  worker.on("completed", errors.roomAgain);
  const ready = runWhenReady(worker);
  ready.catch((thrown: unknown) => refused.abort(thrown));
  refused.signal.addEventListener("abort", () => void worker.close(true).catch(() => undefined));
  try {
    await unlessAborted(refused.signal, withTimeout({ timeoutMs: 10_000, doing: "reach Redis" }, ready));
  } catch (thrown) {
    await releases.releaseAll();
    throw thrown;
  }
  const beat = new MemberBeat(connection, () => ({ kind: "coordinator", storeUrl: store.url }));
  releases.add("beat", () => beat.stop());
  return {
    check: () => {
      refused.signal.throwIfAborted();
      producer.check();
    },
    stop: async (drainMs = refused.signal.aborted ? refusedDrainMs : 10_000) => {
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

/** Does one job of the plan queue. A plan that is interrupted by the coordinator's stop goes back to the queue. */
function planProcessor(options: {
  readonly connection: Redis;
  readonly log: Logger;
  readonly stopping: AbortSignal;
  readonly plannerOf: (stage: JobPayload["stage"]) => StageFunction;
  readonly metrics: ClusterMetrics;
  readonly shared: Omit<PlanContext, "attempt" | "liveRun" | "costOf">;
}): (job: Job, token?: string) => Promise<void> {
  const { connection, stopping, plannerOf, shared, metrics } = options;
  return async (job, token) => {
    const payload = parseAs(jobPayload, job.data, `the payload of job ${job.id ?? "?"}`);
    const log = options.log.child(logFieldsOf(job, payload));
    const ended = metrics.beginTry(payload.stage, job.stalledCounter);
    const liveRun = new LiveRun(connection, payload.id);
    try {
      if (treatmentAfter(job.stalledCounter, 0) === "give-up") {
        throw tooManyDeaths(payload.stage, job.stalledCounter);
      }
      const context = { ...shared, attempt: payload.attempt, liveRun };
      await plan(payload, plannerOf(payload.stage), context);
      ended("done");
      log.info("planned");
    } catch (thrown) {
      if (thrown instanceof PlanLater) {
        ended("handed-back");
        await job.moveToDelayed(Date.now() + thrown.delayMs, token);
        throw new DelayedError();
      }
      if (stopping.aborted) {
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
        redis: connection,
        store: shared.store,
        log,
        beforeTelling: async ({ code }) => {
          if (code !== "bad-dataset" || (await liveRun.isOver(payload.attempt))) return;
          const kind = stageTable[payload.stage].subject;
          // A sorting lists nothing.
          if (kind !== "sorting") await takeBackShards(shared.store, { kind, id: payload.id });
        },
        unrecoverable: UnrecoverableError,
      });
      ended(outcomeOf(thrown, error instanceof UnrecoverableError), toTrommelError(thrown).code);
      throw error;
    }
  };
}

async function plan(
  payload: JobPayload,
  planner: StageFunction,
  context: Omit<PlanContext, "costOf">,
): Promise<void> {
  const { id, attempt, stage } = payload;
  const { store, liveRun, outstandingAtMost } = context;
  if (await liveRun.isOver(attempt))
    throw new TrommelError("cancelled", `cannot plan ${id}: it was cancelled`);
  const subject = { kind: stageTable[stage].subject, id };
  const config = await readConfig(subject.kind, id, store);
  const { jobsAtMost } = await readSteering(store, subject);
  await planner(config, {
    ...context,
    // A run with a limit has few jobs queued: those that have no place are taken and put back again and again.
    outstandingAtMost:
      jobsAtMost === null
        ? outstandingAtMost
        : Math.min(outstandingAtMost, Math.max(shardsPerGram, queuedPerJob * jobsAtMost)),
    costOf: async (of: Stage) => {
      const { priority } = await readSteering(store, subject);
      const isShard = stageTable[of].unit === "shard";
      const images = isShard && "shardSize" in config ? config.shardSize : usualShard;
      const factor = Math.min(costFactor.atMost, Math.max(costFactor.atLeast, images / usualShard));
      return Math.round(costs[priority] * factor);
    },
  });
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
): Promise<RunConfig | ScoringConfig | SortingConfig> {
  const key = subjectKeys({ kind, id }).config;
  const body = await store.get(key, readBounds.document);
  if (kind === "run") return parseSealedAs(runConfig, body, key);
  return kind === "scoring"
    ? parseSealedAs(scoringConfig, body, key)
    : parseSealedAs(sortingConfig, body, key);
}
