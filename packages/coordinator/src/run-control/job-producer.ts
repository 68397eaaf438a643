import {
  jobId,
  jobOptions,
  jobPayload,
  parseAs,
  queueOf,
  queuePrefix,
  shardsPerGram,
  type JobPayload,
  type QueueName,
} from "@trommel/common";
import { connectRedis, withTimeout } from "@trommel/common/jobs/redis-connection";
import { barrierOf, type FlowStage } from "@trommel/common/jobs/run-rules";
import { FlowProducer, Queue, type FlowJob, type JobState } from "bullmq";
import type { Redis } from "ioredis";

/** BullMQ waits for ever for a Redis that is away; a producer gives up after this. */
const producerTimeoutMs = 20_000;
/** How long a finished root job stays visible to followers. */
const rootKeepSeconds = 24 * 3600;

/** Shards that are queued together: one round trip to Redis. */
export const shardsPerBulk = 100;

/** Share of Redis's memory above which nothing more is queued. */
const fullShare = 0.85;

/** Which job waits for a stage's shards, and how many of them stand for one that it waits for. */
const shardParents = {
  measure: { parent: "normalize", shards: 1 },
  extract: { parent: "solve", shards: shardsPerGram },
  score: { parent: "close", shards: 1 },
} as const;

const outstandingStates = ["waiting", "active", "delayed", "prioritized"] as const;

/** Queues jobs, and nothing else: what each waits for is in the flow's shape. */
export class JobProducer {
  readonly redis: Redis;
  readonly #flows: FlowProducer;
  readonly #queues = new Map<QueueName, Queue>();

  constructor(redisUrl: string) {
    this.redis = connectRedis(redisUrl);
    this.#flows = new FlowProducer({ connection: this.redis, prefix: queuePrefix });
    this.#flows.on("error", () => undefined);
  }

  /** Queues an attempt's flow; plans add to it. */
  async addFlow(flow: FlowStage, id: string, attempt: number): Promise<void> {
    const { ignoreDependencyOnFailure: _, ...rootOptions } = jobOptions;
    const keep = { age: rootKeepSeconds, count: 1000 };
    const jobId = rootJobId(flow, id, attempt);
    const opts = { ...rootOptions, jobId, removeOnComplete: keep, removeOnFail: keep };
    await bounded(this.#flows.add({ ...flowNode(flow, id, attempt), opts }));
  }

  /** A gram over `shards`, itself awaited by the run's solve job. */
  async addGram(id: string, attempt: number, gram: number, shards: readonly number[]): Promise<void> {
    const children = shards.map((shard) => node({ stage: "extract", id, attempt, shard }));
    const parent = { stage: barrierOf.gram, id, attempt } as const;
    const gramNode = node({ stage: "gram", id, attempt, gram }, children);
    const flow: FlowJob = {
      ...gramNode,
      opts: { ...gramNode.opts, parent: { id: jobId(parent), queue: this.#queue("reduce").qualifiedName } },
    };
    await bounded(this.#flows.add(flow));
  }

  /** Awaited by the run's normalize job. */
  async addMeasureShards(id: string, attempt: number, shards: readonly number[]): Promise<void> {
    const payloads = shards.map((shard): JobPayload => ({ stage: "measure", id, attempt, shard }));
    await this.#addBelow({ stage: barrierOf.measure, id, attempt }, "extract", payloads);
  }

  /** Awaited by the scoring's close job. */
  async addScoreShards(id: string, attempt: number, shards: readonly number[]): Promise<void> {
    const payloads = shards.map((shard): JobPayload => ({ stage: "score", id, attempt, shard }));
    await this.#addBelow({ stage: barrierOf.score, id, attempt }, "score", payloads);
  }

  /** State of a run's root job; `unknown` where Redis does not have it. */
  async rootState(rootJobId: string): Promise<JobState | "unknown"> {
    return bounded(this.#queue("reduce").getJobState(rootJobId));
  }

  /** Why a root job failed, in BullMQ's words. */
  async rootFailure(rootJobId: string): Promise<string> {
    const job = await bounded(this.#queue("reduce").getJob(rootJobId));
    return `the job ${rootJobId} failed: ${job?.failedReason || "nobody said why"}. Resume the run`;
  }

  /**
   * Shards of a run that are queued and unfinished, counted from above: those that its waiting job waits for, and of a
   * training whole groups of them, unless the queue has fewer jobs of all runs together.
   */
  async outstandingShards(
    stage: "measure" | "extract" | "score",
    id: string,
    attempt: number,
  ): Promise<number> {
    const { parent, shards } = shardParents[stage];
    const waiting = await bounded(this.#queue("reduce").getJob(jobId({ stage: parent, id, attempt })));
    const awaited = await waiting?.getDependenciesCount({ unprocessed: true });
    const queued = await bounded(this.#queue(queueOf(stage)).getJobCounts(...outstandingStates));
    const inQueue = Object.values(queued).reduce((sum, count) => sum + count, 0);
    return Math.min((awaited?.unprocessed ?? 0) * shards, inQueue);
  }

  /** Whether Redis has so little of its memory left that queueing must not take it from what workers write. */
  async isNearlyFull(): Promise<boolean> {
    const info = await bounded(this.redis.info("memory"));
    const field = (name: string): number => Number(new RegExp(`^${name}:(\\d+)`, "m").exec(info)?.[1] ?? 0);
    const most = field("maxmemory");
    return most > 0 && field("used_memory") > fullShare * most;
  }

  /** Images that a stage's active jobs of a run have worked through and not committed yet. */
  async activeImages(stage: "measure" | "extract" | "score", id: string, attempt: number): Promise<number> {
    const active = await bounded(this.#queue(queueOf(stage)).getActive());
    let images = 0;
    for (const job of active) {
      const payload = jobPayload.safeParse(job.data);
      if (!payload.success || payload.data.stage !== stage) continue;
      if (payload.data.id !== id || payload.data.attempt !== attempt) continue;
      if (typeof job.progress === "number") images += job.progress;
    }
    return images;
  }

  async close(): Promise<void> {
    for (const queue of this.#queues.values()) await closeBounded(queue.close());
    await closeBounded(this.#flows.close());
    this.redis.disconnect();
  }

  /** Adds children to a job of the reduce queue that waits for its children. */
  async #addBelow(parent: JobPayload, queue: QueueName, payloads: readonly JobPayload[]): Promise<void> {
    const opts = { ...jobOptions, parent: { id: jobId(parent), queue: this.#queue("reduce").qualifiedName } };
    const jobs = payloads.map((payload) => ({
      name: payload.stage,
      data: payload,
      opts: { ...opts, jobId: jobId(payload) },
    }));
    await bounded(this.#queue(queue).addBulk(jobs));
  }

  #queue(name: QueueName): Queue {
    let queue = this.#queues.get(name);
    if (queue === undefined) {
      queue = new Queue(name, { connection: this.redis, prefix: queuePrefix });
      queue.on("error", () => undefined);
      this.#queues.set(name, queue);
    }
    return queue;
  }
}

/** @throws TrommelError `internal` for a stage that has many jobs, which plans add */
function flowNode({ stage, children }: FlowStage, id: string, attempt: number): FlowJob {
  const payload = parseAs(jobPayload, { stage, id, attempt }, `the flow's stage ${stage}`, "internal");
  return node(
    payload,
    children.map((child) => flowNode(child, id, attempt)),
  );
}

export function rootJobId({ stage }: FlowStage, id: string, attempt: number): string {
  return jobId(parseAs(jobPayload, { stage, id, attempt }, `the flow's root ${stage}`, "internal"));
}

function node(payload: JobPayload, children: FlowJob[] = []): FlowJob {
  return {
    name: payload.stage,
    queueName: queueOf(payload.stage),
    data: payload,
    opts: { ...jobOptions, jobId: jobId(payload) },
    ...(children.length === 0 ? {} : { children }),
  };
}

function bounded<T>(work: Promise<T>): Promise<T> {
  return withTimeout(work, producerTimeoutMs, "queue jobs in Redis");
}

async function closeBounded(work: Promise<void>): Promise<void> {
  await withTimeout(work, 2000, "close a queue").catch(() => undefined);
}
