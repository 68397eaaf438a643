import { z } from "zod";
import { runId } from "../artefacts/store-keys.js";
import { parseAs } from "../parse.js";
import { queueOf, stages, stageTable, type ManyUnit, type Stage, type UnitOf } from "./pipeline.js";

/** The queues, their payloads and their options. Payloads are small: ids and numbers, never rows. */

/** Each of the clusters that share a Redis has a name of its own; it is checked where an address is, see `check-redis.ts`. */
export const namespace = process.env["TROMMEL_NAMESPACE"] ?? "";

/** Prefix of every key in Redis. */
export const queuePrefix = queuePrefixOf(namespace);

/** @param name of a cluster, empty for the one without a name */
export function queuePrefixOf(name: string): string {
  return name === "" ? "trommel" : `trommel-${name}`;
}

const attempt = z.int().positive();
const index = z.int().nonnegative();

/** The field of a stage of many jobs that says which of them one is. */
const unitFields = {
  one: {},
  shard: { shard: index },
  gram: { gram: index },
  fold: { fold: index },
  replica: { replica: index },
  round: { round: index },
} as const satisfies Record<ManyUnit | "one", object>;

type PayloadOf<S extends Stage> = {
  readonly stage: S;
  readonly id: string;
  readonly attempt: number;
} & (UnitOf<S> extends "one" ? unknown : Readonly<Record<Exclude<UnitOf<S>, "one">, number>>);

export type JobPayload = { [S in Stage]: PayloadOf<S> }[Stage];

/** A stage's name, the id of its run or scoring, the attempt, and the number of a job among many. */
function payloadOf(stage: Stage) {
  const fields = { stage: z.literal(stage), id: runId, attempt, ...unitFields[stageTable[stage].unit] };
  return z.object(fields).strict();
}

const [first, ...others] = stages;
export const jobPayload = z.discriminatedUnion("stage", [
  payloadOf(first),
  ...others.map(payloadOf),
]) as z.ZodType<JobPayload>;

/** The payload of a stage's only job. @throws TrommelError `internal` for a stage of many jobs */
export function singleJob(stage: Stage, id: string, attempt: number): JobPayload {
  return parseAs(jobPayload, { stage, id, attempt }, `the payload of the stage ${stage}`, "internal");
}

/** The payload of one of a stage's many jobs. @throws TrommelError `internal` for a stage of a single job */
export function unitJob(stage: Stage, id: string, attempt: number, unit: number): JobPayload {
  const payload = { stage, id, attempt, [stageTable[stage].unit]: unit };
  return parseAs(jobPayload, payload, `the payload of the stage ${stage}`, "internal");
}

/** Which of a stage's many jobs it is; undefined for a stage's only job. */
export function unitOf(payload: JobPayload): number | undefined {
  const fields: Readonly<Record<string, unknown>> = payload;
  const unit = fields[stageTable[payload.stage].unit];
  return typeof unit === "number" ? unit : undefined;
}

/** What a stage's function gets before its context: the id, and of a stage of many jobs the number of this one. */
export function argumentsOf(payload: JobPayload): readonly [string] | readonly [string, number] {
  const unit = unitOf(payload);
  return unit === undefined ? [payload.id] : [payload.id, unit];
}

/**
 * Take-over of a dead worker's job: its lock expires after `lockDuration`, the next check within
 * `stalledInterval` puts the job back. The worker that takes it over decides how often that may happen (see
 * `treatmentAfter`), because BullMQ's own limit would end a run without an error in Redis.
 */
export const workerTimings = {
  lockDuration: 5000,
  stalledInterval: 2500,
  maxStalledCount: 1_000_000,
  /** How long a worker waits after its connection broke; BullMQ's own 15 s are longer than the locks of its jobs last. */
  runRetryDelay: 1000,
} as const;

/**
 * Options of every job. If a child fails, its parent starts, checks the markers and reports what is missing. In any other mode a
 * parent waits without end or starts too early.
 */
export const jobOptions = {
  attempts: 8,
  backoff: { type: "exponential", delay: 1000, jitter: 0.5 },
  removeOnComplete: true,
  // If a failed child stayed in Redis, a plan that runs again would reuse it, and its parent would wait for it without end.
  removeOnFail: true,
  ignoreDependencyOnFailure: true,
} as const;

/** Ids hold the attempt, so that a resumed run never meets the leftovers of an earlier one. */
export function jobId(payload: JobPayload): string {
  const unit = unitOf(payload);
  return `${payload.id}.${payload.attempt}.${payload.stage}${unit === undefined ? "" : `.${unit}`}`;
}

/** The stage of a single job, by the job's id; undefined if the table has no such stage. */
export function stageOfSingleJob(id: string): Stage | undefined {
  return stages.find((stage) => stageTable[stage].unit === "one" && id.endsWith(`.${stage}`));
}

/** The key under which BullMQ keeps a job. */
export function jobKey(payload: JobPayload): string {
  return `${queuePrefix}:${queueOf(payload.stage)}:${jobId(payload)}`;
}
