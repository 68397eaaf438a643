import { setTimeout as sleep } from "node:timers/promises";
import { queuePrefix, workerQueues } from "@trommel/common";
import { Redis } from "ioredis";
import type { RedisProcess } from "../processes/redis-process.js";
import type { SupervisedProcess } from "../processes/supervised-process.js";

const pollMs = 50;
/** How long a victim may be idle before it is killed all the same. */
const busyPatienceMs = 4000;
/** After this a job counts as not taken over. */
const patienceMs = 60_000;

/**
 * Kills workers and coordinators, and measures how long the jobs that they held stand still: from the SIGKILL to the moment that the queue
 * notes as the start of the job's next try (`processedOn`).
 */
export class TakeOvers {
  /** Processes that were killed while they had a job. */
  kills = 0;
  /** Of each job that was taken over, in ms. */
  readonly timesMs: number[] = [];
  /** Jobs whose queue was lost, or whose Redis was away, before they were taken over. */
  unmeasured = 0;
  /** Jobs that nobody took in a minute, though Redis stood all the time. */
  readonly abandoned: string[] = [];
  readonly #redis: Redis;
  readonly #process: RedisProcess;
  readonly #watched = new Set<Promise<void>>();

  constructor(redisProcess: RedisProcess) {
    this.#process = redisProcess;
    this.#redis = new Redis(redisProcess.url, { maxRetriesPerRequest: 0, retryStrategy: () => 100 });
    this.#redis.on("error", () => undefined);
  }

  /**
   * Kills a process while it has a job, if it gets one in a moment.
   * @returns false where it does not run
   */
  async kill(victim: SupervisedProcess): Promise<boolean> {
    const { pid } = victim;
    if (pid === undefined) return false;
    await this.#untilBusy(pid);
    if (victim.pid !== pid) return false;
    // Stopped before it is killed, so that what it holds is known.
    victim.signal("SIGSTOP");
    const held = await this.#heldBy(pid).catch(() => []);
    const killedAt = Date.now();
    if (!victim.signal("SIGKILL")) return false;
    if (held.length > 0) this.kills += 1;
    for (const job of held) {
      const watch = this.#watch(job, killedAt, this.#process.outages).finally(() =>
        this.#watched.delete(watch),
      );
      this.#watched.add(watch);
    }
    return true;
  }

  async close(): Promise<void> {
    await Promise.all(this.#watched);
    this.#redis.disconnect();
  }

  async #untilBusy(pid: number): Promise<void> {
    const deadline = performance.now() + busyPatienceMs;
    while (performance.now() < deadline) {
      if ((await this.#heldBy(pid).catch(() => [])).length > 0) return;
      await sleep(pollMs / 2);
    }
  }

  /** Redis keys of the jobs that a process has. */
  async #heldBy(pid: number): Promise<string[]> {
    const held: string[] = [];
    if (!this.#process.isUp) return held;
    for (const queue of ["plan", ...workerQueues]) {
      for (const id of await this.#redis.lrange(`${queuePrefix}:${queue}:active`, 0, -1)) {
        const key = `${queuePrefix}:${queue}:${id}`;
        if ((await this.#redis.hget(key, "pb"))?.endsWith(`:${pid}`)) held.push(key);
      }
    }
    return held;
  }

  async #watch(job: string, killedAt: number, outages: number): Promise<void> {
    while (Date.now() - killedAt < patienceMs) {
      await sleep(pollMs);
      if (this.#process.outages !== outages) {
        this.unmeasured += 1;
        return;
      }
      const lookedAt = Date.now();
      // A job that is gone was taken over and finished between two looks.
      const startedAt = await this.#startedAt(job, lookedAt).catch(() => 0);
      if (startedAt <= killedAt) continue;
      this.timesMs.push(startedAt - killedAt);
      return;
    }
    this.abandoned.push(job);
  }

  async #startedAt(job: string, ifGone: number): Promise<number> {
    const processedOn = await this.#redis.hget(job, "processedOn");
    if (processedOn !== null) return Number(processedOn);
    return (await this.#redis.exists(job)) === 1 ? 0 : ifGone;
  }
}
