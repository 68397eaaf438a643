import type { Redis } from "ioredis";
import { stopReason, stopReasonOf, type StopReason } from "../artefacts/runs/stop-reason.js";
import { TrommelError, errorCodes, type ErrorCode } from "../errors.js";
import { parseJsonAs } from "../parse.js";
import type { Stage } from "./pipeline.js";
import { queuePrefix } from "./queues.js";
import { isAttemptOver } from "./run-rules.js";

/**
 * What Redis knows about a run, for its followers. It is disposable, decides nothing about what has been done,
 * and a resume rebuilds it from the markers.
 *
 * Keys, for run r: `trommel:run:r` (hash: attempt, root, cancelled, error, limit), `trommel:run:r:a:<stage>` (hash of
 * counters) and `trommel:run:r:a:<stage>:done` (set of unit numbers), where a is the attempt.
 */
const liveRunTtlSeconds = 7 * 24 * 3600;

export interface StageProgress {
  readonly stage: Stage;
  /** Units (shards, grams, or 1) known so far; grows while a listing streams. */
  readonly total: number;
  readonly done: number;
  /** Images in the units done and in total, if the stage works on images. */
  readonly imagesDone: number;
  readonly imagesTotal: number;
  readonly failedImages: number;
  /** Images in the units done whose features were in the store already; only extraction counts them. */
  readonly reusedImages: number;
  /** Free text of the running unit, such as an epoch. */
  readonly note: string;
}

export interface LiveRunState {
  readonly attempt: number;
  readonly rootJobId: string;
  readonly cancelled: boolean;
  readonly error: StopReason | undefined;
  /** Whether its jobs are being queued at this moment: an unknown root means nothing yet. */
  readonly opening: boolean;
}

export type { StopReason };

/** How long an open attempt may be without jobs: the process that opened it is queueing them, or has died. */
const openingSeconds = 20;

/**
 * Opens an attempt unless another was opened meanwhile. KEYS: run, opening. ARGV: the attempt that was seen or '', the
 * next, its root, store, ttl, opening ttl.
 */
const openAttempt = `
if (redis.call('HGET', KEYS[1], 'attempt') or '') ~= ARGV[1] then
  return 0
end
redis.call('HDEL', KEYS[1], 'error', 'cancelled', 'limit')
redis.call('HSET', KEYS[1], 'attempt', ARGV[2], 'root', ARGV[3], 'store', ARGV[4])
redis.call('EXPIRE', KEYS[1], ARGV[5])
redis.call('SET', KEYS[2], ARGV[2], 'EX', ARGV[6])
return 1`;

/** Counts a unit once, however often it is reported. KEYS: done set, counters. ARGV: unit, images, failed, reused, ttl. */
const countOnce = `
if redis.call('SADD', KEYS[1], ARGV[1]) == 1 then
  redis.call('HINCRBY', KEYS[2], 'done', 1)
  redis.call('HINCRBY', KEYS[2], 'imagesDone', ARGV[2])
  redis.call('HINCRBY', KEYS[2], 'failedImages', ARGV[3])
  redis.call('HINCRBY', KEYS[2], 'reusedImages', ARGV[4])
end
redis.call('EXPIRE', KEYS[1], ARGV[5])
redis.call('EXPIRE', KEYS[2], ARGV[5])
return 1`;

/** Records an attempt's first error, and nothing once another attempt runs. KEYS: run. ARGV: attempt, error. @returns 1 if so */
const failAttempt = `
if redis.call('HGET', KEYS[1], 'attempt') == ARGV[1] then
  return redis.call('HSETNX', KEYS[1], 'error', ARGV[2])
end
return 0`;

/** The counts of a unit that works on images. */
interface UnitCounts {
  readonly images: number;
  readonly failed: number;
  /** @default 0 */
  readonly reused?: number;
}

const noCounts: UnitCounts = { images: 0, failed: 0 };

export class LiveRun {
  readonly #redis: Redis;
  readonly #id: string;
  readonly #key: string;

  constructor(redis: Redis, id: string) {
    this.#redis = redis;
    this.#id = id;
    this.#key = keyOf(id);
  }

  /**
   * Opens the next attempt: its counters start at zero. Its opener queues its jobs and then calls {@link opened}.
   * @param seen the attempt that the opener saw end, undefined for none
   * @returns undefined if another process has opened one since
   */
  async open(
    rootOf: (attempt: number) => string,
    storeUrl: string,
    seen: number | undefined,
  ): Promise<number | undefined> {
    const attempt = (seen ?? 0) + 1;
    const keys = [this.#key, this.#openingKey] as const;
    const values = [seen ?? "", attempt, rootOf(attempt), storeUrl, liveRunTtlSeconds, openingSeconds];
    const won = await this.#redis.eval(openAttempt, keys.length, ...keys, ...values);
    return won === 1 ? attempt : undefined;
  }

  /** The attempt's jobs are queued. */
  async opened(): Promise<void> {
    await this.#redis.del(this.#openingKey);
  }

  async state(): Promise<LiveRunState | undefined> {
    const opening = await this.#redis.exists(this.#openingKey);
    const fields = await this.#redis.hgetall(this.#key);
    if (fields["attempt"] === undefined) return undefined;
    const error = fields["error"];
    return {
      attempt: Number(fields["attempt"]),
      rootJobId: fields["root"] ?? "",
      cancelled: fields["cancelled"] !== undefined,
      opening: opening === 1,
      error: error === undefined ? undefined : parseJsonAs(stopReason, error, `the error of ${this.#key}`),
    };
  }

  async cancel(): Promise<void> {
    await this.#redis.hset(this.#key, "cancelled", "1");
  }

  /** Whether the attempt was cancelled or a later one has replaced it. */
  async isOver(attempt: number): Promise<boolean> {
    return (await this.attemptState(attempt)).isOver;
  }

  /**
   * What a worker has to know before it takes a job, in one call to Redis. It includes the run's store, because workers with
   * another store must not take the run's jobs.
   */
  async attemptState(attempt: number): Promise<{
    readonly isOver: boolean;
    readonly storeUrl: string | undefined;
    /** Jobs of a queue that may be under way at once; undefined for no limit. */
    readonly jobsAtMost: number | undefined;
  }> {
    const [current, cancelled, storeUrl, limit] = await this.#redis.hmget(
      this.#key,
      ...["attempt", "cancelled", "store", "limit"],
    );
    const known = typeof current === "string" ? Number(current) : undefined;
    return {
      isOver: isAttemptOver({ attempt: known, cancelled: typeof cancelled === "string" }, attempt),
      storeUrl: storeUrl ?? undefined,
      jobsAtMost: typeof limit === "string" ? Number(limit) : undefined,
    };
  }

  /** @param jobsAtMost of a queue, under way at once; null for no limit */
  async setLimit(jobsAtMost: number | null): Promise<void> {
    if (jobsAtMost === null) await this.#redis.hdel(this.#key, "limit");
    else await this.#redis.hset(this.#key, "limit", jobsAtMost);
  }

  /** Keeps the first error: later ones follow from it. @returns false if there is one, or another attempt runs */
  async fail(attempt: number, stage: Stage, error: TrommelError): Promise<boolean> {
    const text = JSON.stringify(stopReasonOf(error, stage));
    return (await this.#redis.eval(failAttempt, 1, this.#key, attempt, text)) === 1;
  }

  async setTotal(attempt: number, stage: Stage, total: number, imagesTotal = 0): Promise<void> {
    const key = this.#stageKey(attempt, stage);
    await this.#redis.multi().hset(key, { total, imagesTotal }).expire(key, liveRunTtlSeconds).exec();
  }

  async setNote(attempt: number, stage: Stage, note: string): Promise<void> {
    const key = this.#stageKey(attempt, stage);
    await this.#redis.multi().hset(key, "note", note).expire(key, liveRunTtlSeconds).exec();
  }

  /** For a stage that counts its own units, such as epochs. */
  async setUnits(attempt: number, stage: Stage, done: number, total: number): Promise<void> {
    const key = this.#stageKey(attempt, stage);
    await this.#redis.multi().hset(key, { done, total }).expire(key, liveRunTtlSeconds).exec();
  }

  async countDone(attempt: number, stage: Stage, unit: number, counts: UnitCounts = noCounts): Promise<void> {
    const keys = [doneUnitsKey({ id: this.#id, attempt, stage }), this.#stageKey(attempt, stage)] as const;
    const { images, failed, reused = 0 } = counts;
    await this.#redis.eval(countOnce, 2, ...keys, unit, images, failed, reused, liveRunTtlSeconds);
  }

  async progress(attempt: number, stage: Stage): Promise<StageProgress> {
    const fields = await this.#redis.hgetall(this.#stageKey(attempt, stage));
    const number = (name: string): number => Number(fields[name] ?? 0);
    return {
      stage,
      total: number("total"),
      done: number("done"),
      imagesDone: number("imagesDone"),
      imagesTotal: number("imagesTotal"),
      failedImages: number("failedImages"),
      reusedImages: number("reusedImages"),
      note: fields["note"] ?? "",
    };
  }

  get #openingKey(): string {
    return `${this.#key}:opening`;
  }

  #stageKey(attempt: number, stage: Stage): string {
    return stageKey({ id: this.#id, attempt, stage });
  }
}

function keyOf(id: string): string {
  return `${queuePrefix}:run:${id}`;
}

interface StageOfRun {
  readonly id: string;
  readonly attempt: number;
  readonly stage: Stage;
}

function stageKey({ id, attempt, stage }: StageOfRun): string {
  return `${keyOf(id)}:${attempt}:${stage}`;
}

/** The set of the units of a stage that an attempt has done. */
export function doneUnitsKey(stage: StageOfRun): string {
  return `${stageKey(stage)}:done`;
}

/** A stop reason as an error that can be thrown. */
export function stopReasonToThrow(error: StopReason): TrommelError {
  const code: ErrorCode = error.code in errorCodes ? (error.code as ErrorCode) : "internal";
  return new TrommelError(code, error.message, { retryable: false, context: { stage: error.stage } });
}
