import type { Redis } from "ioredis";
import type { z } from "zod";
import { failureReason } from "../artefacts/shards/failure-reason.js";
import { parseAs } from "../parse.js";
import type { Stage } from "./pipeline.js";
import { queuePrefix } from "./queues.js";
import { triesPerFile } from "./worker-deaths.js";

/**
 * What Redis remembers of a shard while its files are tried one by one, so that the next worker continues where one died.
 * It is disposable like the rest of Redis: without it the files are tried again, with the same result.
 *
 * Key `trommel:run:<id>:<attempt>:<stage>:trial:<shard>`, a hash with these fields for the file at a position:
 * `among:<p>`  its decoding began during other work, and no end was reported;
 * `alone:<p>`  how often its decoding began while no other file of the shard was being decoded, and no end was reported;
 * `blamed:<p>` why it is left out;
 * and `tried`  if any file was decoded to its end.
 */
const trialTtlSeconds = 7 * 24 * 3600;

/** The reasons for which a trial leaves a file out. */
export const blameReason = failureReason.extract(["crashed-worker", "timed-out"]);
export type BlameReason = z.infer<typeof blameReason>;

export interface TrialState {
  /** By position: a file that killed every process, or that no process finished. */
  readonly blamed: ReadonlyMap<number, BlameReason>;
  /** Positions of files that may have killed a worker; each has to be tried alone. */
  readonly suspects: readonly number[];
  /** Whether any file of the shard was decoded to its end. */
  readonly tried: boolean;
}

export class ShardTrial {
  readonly #redis: Redis;
  readonly #key: string;

  constructor(redis: Redis, unit: { id: string; attempt: number; stage: Stage; shard: number }) {
    this.#redis = redis;
    this.#key = `${queuePrefix}:run:${unit.id}:${unit.attempt}:${unit.stage}:trial:${unit.shard}`;
  }

  async state(): Promise<TrialState> {
    return parseTrial(await this.#redis.hgetall(this.#key), this.#key);
  }

  /** Called before a process gets a file: if no end is reported, the worker died while the process had it. */
  async begin(position: number, alone: boolean): Promise<void> {
    const begun = this.#redis.multi();
    if (alone) begun.hincrby(this.#key, `alone:${position}`, 1);
    else begun.hset(this.#key, `among:${position}`, 1);
    await begun.expire(this.#key, trialTtlSeconds).exec();
  }

  /** The worker survived, whatever became of the process that had the file. */
  async livedOn(position: number): Promise<void> {
    await this.#redis.hdel(this.#key, `among:${position}`, `alone:${position}`);
  }

  async noteTried(): Promise<void> {
    await this.#redis.multi().hset(this.#key, "tried", 1).expire(this.#key, trialTtlSeconds).exec();
  }

  async blame(position: number, reason: BlameReason): Promise<void> {
    await this.#redis
      .multi()
      .hset(this.#key, `blamed:${position}`, reason)
      .expire(this.#key, trialTtlSeconds)
      .exec();
  }
}

/** A file that killed workers as often as `triesPerFile`, alone, is blamed. */
function parseTrial(fields: Readonly<Record<string, string>>, key: string): TrialState {
  const blamed = new Map<number, BlameReason>();
  const suspects = new Set<number>();
  for (const [field, value] of Object.entries(fields)) {
    const [kind, position] = field.split(":");
    if (kind === "blamed") blamed.set(Number(position), parseAs(blameReason, value, `${field} of ${key}`));
    else if (kind === "alone" && Number(value) >= triesPerFile)
      blamed.set(Number(position), "crashed-worker");
    else if (kind === "alone" || kind === "among") suspects.add(Number(position));
  }
  return {
    blamed,
    suspects: [...suspects].filter((position) => !blamed.has(position)).sort((a, b) => a - b),
    tried: fields["tried"] !== undefined,
  };
}
