import { queuePrefix, workerQueues } from "@trommel/common";
import { Redis } from "ioredis";
import type { RedisProcess } from "./redis-process.js";
import type { SupervisedProcess } from "./supervised-process.js";

const pollMs = 50;
/** After this a job counts as not taken over. */
const patienceMs = 60_000;

/**
 * Kills workers and measures how long the jobs that they held stand still: from the SIGKILL to the moment that the queue
 * notes as the start of the job's next try (`processedOn`).
 */
export class TakeOvers {
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

  /** @returns false where the worker does not run at this moment */
  async kill(worker: SupervisedProcess): Promise<boolean> {
    const { pid } = worker;
    if (pid === undefined) return false;
    // Stopped before it is killed, so that what it holds is known.
    worker.signal("SIGSTOP");
    const held = await this.#heldBy(pid).catch(() => []);
    const killedAt = Date.now();
    if (!worker.signal("SIGKILL")) return false;
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

  /** Redis keys of the jobs that a worker process has. */
  async #heldBy(pid: number): Promise<string[]> {
    const held: string[] = [];
    if (!this.#process.isUp) return held;
    for (const queue of workerQueues) {
      for (const id of await this.#redis.lrange(`${queuePrefix}:${queue}:active`, 0, -1)) {
        const key = `${queuePrefix}:${queue}:${id}`;
        if ((await this.#redis.hget(key, "pb"))?.endsWith(`:${pid}`)) held.push(key);
      }
    }
    return held;
  }

  async #watch(job: string, killedAt: number, outages: number): Promise<void> {
    while (Date.now() - killedAt < patienceMs) {
      await new Promise((resolve) => setTimeout(resolve, pollMs));
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
