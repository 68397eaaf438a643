import { z } from "zod";
import { runId } from "../artefacts/store-keys.js";

/** The queues, their payloads and their options. Payloads are small: ids and numbers, never rows. */

/** Prefix of every BullMQ key in Redis. */
export const queuePrefix = "trommel";

/** Queues that workers serve; `plan` is served by coordinators. */
export const workerQueues = ["extract", "score", "reduce"] as const;
export type WorkerQueue = (typeof workerQueues)[number];
export type QueueName = WorkerQueue | "plan";

const attempt = z.int().positive();
const index = z.int().nonnegative();

export const jobPayload = z.discriminatedUnion("stage", [
  z.object({ stage: z.literal("plan-measure"), id: runId, attempt }).strict(),
  z.object({ stage: z.literal("plan-run"), id: runId, attempt }).strict(),
  z.object({ stage: z.literal("plan-scoring"), id: runId, attempt }).strict(),
  z.object({ stage: z.literal("measure"), id: runId, attempt, shard: index }).strict(),
  z.object({ stage: z.literal("normalize"), id: runId, attempt }).strict(),
  z.object({ stage: z.literal("extract"), id: runId, attempt, shard: index }).strict(),
  z.object({ stage: z.literal("gram"), id: runId, attempt, gram: index }).strict(),
  z.object({ stage: z.literal("solve"), id: runId, attempt }).strict(),
  z.object({ stage: z.literal("train"), id: runId, attempt }).strict(),
  z.object({ stage: z.literal("bundle"), id: runId, attempt }).strict(),
  z.object({ stage: z.literal("score"), id: runId, attempt, shard: index }).strict(),
  z.object({ stage: z.literal("close"), id: runId, attempt }).strict(),
]);
export type JobPayload = z.infer<typeof jobPayload>;
export type Stage = JobPayload["stage"];

/** How many shards one gram covers: a slice of the merge tree's leaves. */
export const shardsPerGram = 16;

/**
 * Take-over of a dead worker's job: its lock lapses after `lockDuration`, the next check within
 * `stalledInterval` puts the job back. How often that may happen is for those who take it over to say
 * (see `treatmentAfter`): BullMQ's own bound would end a run without an error in Redis.
 */
export const workerTimings = {
  lockDuration: 5000,
  stalledInterval: 2500,
  maxStalledCount: 1_000_000,
  /** What a worker waits after its connection broke; BullMQ's own 15 s would outlast the locks of what it holds. */
  runRetryDelay: 1000,
} as const;

/**
 * Options of every job. The failure of a child releases its parent, which looks at the markers and says what
 * is missing; any other mode leaves a parent waiting for ever or starts it early.
 */
export const jobOptions = {
  attempts: 8,
  backoff: { type: "exponential", delay: 1000, jitter: 0.5 },
  removeOnComplete: true,
  // A failed child that stayed would be adopted by a plan that runs again, and its parent would wait for it for ever.
  removeOnFail: true,
  ignoreDependencyOnFailure: true,
} as const;

/** Ids hold the attempt, so that a resumed run never meets the leftovers of an earlier one. */
export function jobId(payload: JobPayload): string {
  const tail = "shard" in payload ? `.${payload.shard}` : "gram" in payload ? `.${payload.gram}` : "";
  return `${payload.id}.${payload.attempt}.${payload.stage}${tail}`;
}

export function queueOf(stage: Stage): QueueName {
  return stageTable[stage].queue;
}

interface StageRow {
  readonly queue: QueueName;
  readonly consumes: string;
  readonly produces: string;
  readonly waitsFor: string;
}

/**
 * The stage table, once: the router, run control, the README and a test read it. The stages up to `normalize` are those of
 * runs that are normalised by their dataset's own pixels; other runs begin with `plan-run`.
 */
export const stageTable: Readonly<Record<Stage, StageRow>> = {
  "plan-measure": { queue: "plan", consumes: "prefix", produces: "shards, split", waitsFor: "nothing" },
  measure: { queue: "extract", consumes: "shard", produces: "pixel statistics", waitsFor: "nothing" },
  normalize: {
    queue: "reduce",
    consumes: "pixel statistics",
    produces: "normalization",
    waitsFor: "the statistics of every shard",
  },
  "plan-run": {
    queue: "plan",
    consumes: "prefix",
    produces: "shards, split",
    waitsFor: "nothing, or normalization",
  },
  "plan-scoring": { queue: "plan", consumes: "prefix", produces: "shards", waitsFor: "nothing" },
  extract: { queue: "extract", consumes: "shard", produces: "feature shard", waitsFor: "nothing" },
  gram: {
    queue: "reduce",
    consumes: "feature shards, split",
    produces: "gram",
    waitsFor: "its own group of shards",
  },
  solve: { queue: "reduce", consumes: "grams", produces: "projection", waitsFor: "every gram" },
  train: {
    queue: "reduce",
    consumes: "feature shards, split, projection",
    produces: "head, metrics",
    waitsFor: "projection",
  },
  bundle: {
    queue: "reduce",
    consumes: "backbones, projection, head",
    produces: "bundle, ledger",
    waitsFor: "head",
  },
  score: { queue: "score", consumes: "shard, bundle", produces: "score part", waitsFor: "nothing" },
  close: {
    queue: "reduce",
    consumes: "score parts",
    produces: "ledger, _SUCCESS.json",
    waitsFor: "every score part",
  },
};
