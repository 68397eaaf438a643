import {
  jobId,
  jobOptions,
  jobPayload,
  parseAs,
  queueOf,
  queuePrefix,
  workerQueues,
  type JobPayload,
  type QueueName,
  type Stage,
  type WorkerQueue,
} from "@trommel/common";
import {
  barrierOf,
  costs,
  lastBarrierOf,
  singleJob,
  stageOfSingleJob,
  unitJob,
  type FlowStage,
  type GroupedStage,
  type ManyStage,
  type ProbeAnswer,
  type ProbeKind,
  type ProbePayload,
  type ShardStage,
} from "@trommel/common/jobs";
import { connectRedis } from "@trommel/common/redis";
import { tracingOptions } from "@trommel/common/tracing";
import { withTimeout } from "@trommel/common/waiting";
import { FlowProducer, Queue, type FlowJob, type JobState } from "bullmq";
import type { Redis } from "ioredis";
import { addWithShares, type SharedQueue } from "./job-shares.js";

/** BullMQ waits without a limit for a Redis that does not answer; a producer gives up after this. */
const producerTimeoutMs = 20_000;
/** How long a finished root job stays visible to followers. */
const rootKeepSeconds = 24 * 3600;

/** Shards that are queued together: one round trip to Redis. */
export const shardsPerBulk = 100;

/** Share of Redis's memory above which nothing more is queued. */
const fullShare = 0.85;

const outstandingStates = ["waiting", "active", "delayed", "prioritized"] as const;

/** Queues jobs, and nothing else: the shape of the flow says what each waits for. */
export class JobProducer {
  readonly redis: Redis;
  readonly #flows: FlowProducer;
  readonly #queues = new Map<QueueName, Queue>();

  readonly #refused = new AbortController();

  constructor(redisUrl: string) {
    this.redis = connectRedis(redisUrl, (error) => this.#refused.abort(error));
    this.#flows = new FlowProducer({
      connection: this.redis,
      prefix: queuePrefix,
      ...tracingOptions(),
    });
    this.#flows.on("error", () => undefined);
  }

  /** @throws TrommelError what Redis refuses for good; this producer is of no use then */
  check(): void {
    this.#refused.signal.throwIfAborted();
  }

  get isRefused(): boolean {
    return this.#refused.signal.aborted;
  }

  /** Queues an attempt's flow; plans add to it. */
  async addFlow(flow: FlowStage, id: string, attempt: number): Promise<void> {
    const { ignoreDependencyOnFailure: _, ...rootOptions } = jobOptions;
    const keep = { age: rootKeepSeconds, count: 1000 };
    const jobId = rootJobId(flow, id, attempt);
    const opts = { ...rootOptions, jobId, removeOnComplete: keep, removeOnFail: keep };
    await this.#bounded(this.#flows.add({ ...flowNode(flow, id, attempt), opts }));
  }

  /** Queues jobs of a stage below their barrier. @param cost of each, see {@link costs} */
  async addUnits(
    stage: ManyStage,
    id: string,
    attempt: number,
    units: readonly number[],
    cost: number = costs.normal,
  ): Promise<void> {
    const opts = { ...jobOptions, parent: this.#parentOf(stage, id, attempt) };
    const payloads = units.map((unit) => unitJob(stage, id, attempt, unit));
    await addWithShares(this.#shared(queueOf(stage)), payloads, cost, async (shares) => {
      const jobs = payloads.map((payload, at) => ({
        ...{ name: stage, data: payload },
        opts: { ...opts, jobId: jobId(payload), ...shares[at] },
      }));
      await this.#bounded(this.#queue(queueOf(stage)).addBulk(jobs));
    });
  }

  /**
   * Queues a group of a stage's jobs below one job that waits for them, itself below its own barrier. That one has no share: it goes first.
   * @param cost of each job of the group, see {@link costs}
   */
  async addGroup(
    stage: GroupedStage,
    id: string,
    attempt: number,
    group: number,
    units: readonly number[],
    cost: number = costs.normal,
  ): Promise<void> {
    const above = barrierOf(stage);
    const parent = this.#parentOf(above, id, attempt);
    const payloads = units.map((unit) => unitJob(stage, id, attempt, unit));
    await addWithShares(this.#shared(queueOf(stage)), payloads, cost, async (shares) => {
      const children = payloads.map((payload, at) => {
        const child = node(payload);
        return { ...child, opts: { ...child.opts, ...shares[at] } };
      });
      const waiting = node(unitJob(above, id, attempt, group), children);
      await this.#bounded(this.#flows.add({ ...waiting, opts: { ...waiting.opts, parent } }));
    });
  }

  /** Queues a question to the workers, unless that job is there. */
  async addProbe<Probe extends ProbePayload>(
    { queue, job }: ProbeKind<Probe, unknown>,
    jobId: string,
    probe: Probe,
  ): Promise<void> {
    const keep = { age: rootKeepSeconds, count: 1000 };
    const opts = { jobId, removeOnComplete: keep, removeOnFail: keep };
    await this.#bounded(this.#queue(queue).add(job, probe, opts));
  }

  /** What a worker has answered; undefined if Redis does not have the job, null until there is an answer. */
  async probeAnswer<Times>(
    { queue, answer }: Pick<ProbeKind<never, Times>, "queue" | "answer">,
    jobId: string,
  ): Promise<ProbeAnswer<Times> | null | undefined> {
    const job = await this.#bounded(this.#queue(queue).getJob(jobId));
    if (job === undefined) return undefined;
    if (job.failedReason) return { error: { code: "internal", message: job.failedReason } };
    if (job.finishedOn === undefined) return null;
    return parseAs(answer, job.returnvalue, `the answer of job ${jobId}`);
  }

  async removeProbe({ queue }: Pick<ProbeKind<never, unknown>, "queue">, jobId: string): Promise<void> {
    await this.#bounded(this.#queue(queue).remove(jobId));
  }

  /** How many workers serve a queue. @throws if Redis does not let its user list clients */
  async workersOf(queue: WorkerQueue): Promise<number> {
    return this.#bounded(this.#queue(queue).getWorkersCount());
  }

  /** Jobs of a queue that wait for a worker, and those that have one. */
  async depthOf(queue: WorkerQueue): Promise<{ readonly waiting: number; readonly active: number }> {
    const counts = await this.#bounded(this.#queue(queue).getJobCounts(...outstandingStates));
    const { active = 0, ...waiting } = counts;
    return { waiting: Object.values(waiting).reduce((sum, count) => sum + count, 0), active };
  }

  /** How many jobs of each queue are in each state. */
  async queueDepths(): Promise<
    { readonly queue: QueueName; readonly state: string; readonly jobs: number }[]
  > {
    const depths = await Promise.all(
      [...workerQueues, "plan" as const].map(async (queue) => {
        const counts = await this.#bounded(
          this.#queue(queue).getJobCounts(...outstandingStates, "waiting-children"),
        );
        return Object.entries(counts).map(([state, jobs]) => ({ queue, state, jobs }));
      }),
    );
    return depths.flat();
  }

  /** State of a run's root job; `unknown` if Redis does not have it. */
  async rootState(rootJobId: string): Promise<JobState | "unknown"> {
    const stage = stageOfSingleJob(rootJobId);
    return stage === undefined
      ? "unknown"
      : this.#bounded(this.#queue(queueOf(stage)).getJobState(rootJobId));
  }

  /** Why a root job failed, in BullMQ's words. */
  async rootFailure(rootJobId: string): Promise<string> {
    const stage = stageOfSingleJob(rootJobId);
    const job =
      stage === undefined ? undefined : await this.#bounded(this.#queue(queueOf(stage)).getJob(rootJobId));
    return `the job ${rootJobId} failed: ${job?.failedReason || "BullMQ has no reason for it"}. Resume the run`;
  }

  /**
   * Shards of a run that are queued and unfinished, counted from above: those that the barrier of them all waits for, in whole
   * groups if they have one, unless the queue has fewer jobs of all runs together.
   */
  async outstandingShards(stage: ShardStage, id: string, attempt: number): Promise<number> {
    const barrier = lastBarrierOf(stage);
    const above = singleJob(barrier.stage, id, attempt);
    const waiting = await this.#bounded(this.#queue(queueOf(above.stage)).getJob(jobId(above)));
    const awaited = await waiting?.getDependenciesCount({ unprocessed: true });
    const queued = await this.#bounded(this.#queue(queueOf(stage)).getJobCounts(...outstandingStates));
    const inQueue = Object.values(queued).reduce((sum, count) => sum + count, 0);
    return Math.min((awaited?.unprocessed ?? 0) * barrier.shards, inQueue);
  }

  /** Whether Redis has so little memory left that it is kept for what workers write. */
  async isNearlyFull(): Promise<boolean> {
    const info = await this.#bounded(this.redis.info("memory"));
    const field = (name: string): number => Number(new RegExp(`^${name}:(\\d+)`, "m").exec(info)?.[1] ?? 0);
    const most = field("maxmemory");
    return most > 0 && field("used_memory") > fullShare * most;
  }

  /** Images that the active jobs of a stage have processed and not committed yet. */
  async activeImages(stage: Stage, id: string, attempt: number): Promise<number> {
    const active = await this.#bounded(this.#queue(queueOf(stage)).getActive());
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

  #shared(name: QueueName): SharedQueue {
    const bounded: SharedQueue["bounded"] = (work) => this.#bounded(work);
    return { redis: this.redis, name, queue: this.#queue(name), bounded };
  }

  #bounded<T>(work: Promise<T>): Promise<T> {
    const { signal } = this.#refused;
    return withTimeout({ timeoutMs: producerTimeoutMs, doing: "queue jobs in Redis", signal }, work);
  }

  /** The waiting job below which a stage's jobs are queued. */
  #parentOf(stage: ManyStage, id: string, attempt: number): { id: string; queue: string } {
    const barrier = singleJob(barrierOf(stage), id, attempt);
    return { id: jobId(barrier), queue: this.#queue(queueOf(barrier.stage)).qualifiedName };
  }

  #queue(name: QueueName): Queue {
    let queue = this.#queues.get(name);
    if (queue === undefined) {
      queue = new Queue(name, { connection: this.redis, prefix: queuePrefix, ...tracingOptions() });
      queue.on("error", () => undefined);
      this.#queues.set(name, queue);
    }
    return queue;
  }
}

/** @throws TrommelError `internal` for a stage that has many jobs, which plans add */
function flowNode({ stage, children }: FlowStage, id: string, attempt: number): FlowJob {
  return node(
    singleJob(stage, id, attempt),
    children.map((child) => flowNode(child, id, attempt)),
  );
}

export function rootJobId({ stage }: FlowStage, id: string, attempt: number): string {
  return jobId(singleJob(stage, id, attempt));
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

async function closeBounded(work: Promise<void>): Promise<void> {
  await withTimeout({ timeoutMs: 2000, doing: "close a queue" }, work).catch(() => undefined);
}
