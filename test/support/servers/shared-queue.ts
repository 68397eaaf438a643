import assert from "node:assert/strict";
import { queuePrefix, ReleaseStack, workerTimings, type JobPayload } from "@trommel/common";
import { costs, flowOf } from "@trommel/common/jobs";
import { beginShare, connectRedis } from "@trommel/common/redis";
import { JobProducer } from "@trommel/coordinator/run-control";
import { Queue, Worker, type Job } from "bullmq";
import { startRedisServer, type TestRedis } from "./redis-server.js";

const none = { tuned: false, measured: false, folded: false, validated: false };

/** The queue of scores with a real Redis and BullMQ, whose jobs are over as soon as a test has taken them. */
export class SharedQueue {
  readonly #releases: ReleaseStack;
  readonly #redis: TestRedis;
  readonly #worker: Worker;
  readonly producer: JobProducer;
  readonly queue: Queue;

  private constructor(releases: ReleaseStack, redis: TestRedis) {
    this.#releases = releases;
    this.#redis = redis;
    this.producer = this.addProducer();
    const connection = connectRedis(redis.url());
    releases.add("connection", () => connection.disconnect());
    this.queue = new Queue("score", { connection, prefix: queuePrefix });
    releases.add("queue", () => this.queue.close());
    const options = { connection, prefix: queuePrefix, autorun: false, ...workerTimings };
    this.#worker = new Worker("score", null, options);
    releases.add("worker", () => this.#worker.close());
  }

  static async start(): Promise<SharedQueue> {
    const releases = new ReleaseStack();
    const redis = await startRedisServer();
    releases.add("redis", () => redis.stop());
    const queue = new SharedQueue(releases, redis);
    await queue.#worker.waitUntilReady();
    return queue;
  }

  async stop(): Promise<void> {
    assert.deepEqual(await this.#releases.releaseAll(), []);
  }

  /** What another coordinator queues jobs with. */
  addProducer(): JobProducer {
    const producer = new JobProducer(this.#redis.url());
    this.#releases.add("producer", () => producer.close());
    return producer;
  }

  /** Queues shards of a scoring, and the jobs that wait for them. */
  async score(
    id: string,
    from: number,
    to: number,
    { cost = costs.normal, producer = this.producer }: { cost?: number; producer?: JobProducer } = {},
  ): Promise<void> {
    if (from === 0) await producer.addFlow(flowOf("scoring", none), id, 1);
    const units = Array.from({ length: to - from }, (_, at) => from + at);
    await producer.addUnits("score", id, 1, units, cost);
  }

  /** The next job, as a worker takes one that it has not begun. */
  async next(): Promise<Job<JobPayload>> {
    const job = (await this.#worker.getNextJob("token", { block: false })) as Job<JobPayload> | undefined;
    assert.ok(job, "no job waits");
    return job;
  }

  /** The next job, as a worker begins it. */
  async begin(): Promise<Job<JobPayload>> {
    const job = await this.next();
    await beginShare(this.producer.redis, job.data);
    return job;
  }

  /** Takes so many jobs one after another. @returns whose they are */
  async take(count: number): Promise<string[]> {
    const taken: string[] = [];
    for (let i = 0; i < count; i += 1) {
      const job = await this.begin();
      taken.push(job.data.id);
      await job.moveToCompleted(null, "token", false);
    }
    return taken;
  }
}

export function countOf(taken: readonly string[], id: string): number {
  return taken.filter((one) => one === id).length;
}
