import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { jobId, queuePrefix, queueOf, workerTimings, type JobPayload, type QueueName } from "@trommel/common";
import { connectRedis } from "#common/jobs/connection/connect-redis";
import { holdsLock, isQueued } from "#common/jobs/job-lock";
import { flowOf } from "#common/jobs/run-rules";
import { treatmentAfter, workerDeathsAtMost } from "#common/jobs/worker-deaths";
import { JobProducer } from "#coordinator/run-control/queueing/job-producer";
import { emptyRun, step } from "./run-model.js";
import { add, completeJob, failJob, waitAgain } from "./run-model-queue.js";
import type { ModelJob, RunModel } from "./run-model-state.js";
import { Queue, UnrecoverableError, Worker, type Job } from "bullmq";
import { startRedisServer, type TestRedis } from "../support/servers/redis-server.js";
import { waitUntil } from "../support/process/wait-until.js";

let server: TestRedis;
before(async () => {
  server = await startRedisServer();
});
after(async () => {
  await server.stop();
});

const of = (stage: string, more: object = {}): JobPayload =>
  ({ stage, id: "r", attempt: 1, ...more }) as JobPayload;
const extract = (shard: number): JobPayload => of("extract", { shard });
const gram = (index: number): JobPayload => of("gram", { gram: index });

interface Taken {
  readonly job: Job;
  readonly payload: JobPayload;
  readonly token: string;
}

/** Does everything to the real queues and to the model, and holds the one to the other after each step. */
class Both {
  readonly producer: JobProducer;
  readonly redis: ReturnType<typeof connectRedis>;
  readonly #workers = new Map<QueueName, Worker>();
  readonly #queues = new Map<QueueName, Queue>();
  #state: RunModel;

  constructor(url: string, kind: "run" | "scoring") {
    this.producer = new JobProducer(url);
    this.redis = connectRedis(url);
    this.#state = emptyRun({ kind, measured: false, files: 3, shardSize: 1 });
    for (const queue of ["plan", "extract", "score", "reduce"] as const) {
      const options = { connection: this.redis, prefix: queuePrefix };
      // Without a processor: the test takes and ends jobs itself.
      const worker = new Worker(queue, null, {
        ...options,
        ...workerTimings,
        stalledInterval: 20,
        skipLockRenewal: true,
      });
      worker.on("error", () => undefined);
      this.#workers.set(queue, worker);
      this.#queues.set(queue, new Queue(queue, options));
    }
  }

  async start(): Promise<void> {
    const { kind } = this.#state;
    await this.producer.addFlow(
      flowOf(kind, { tuned: false, measured: false, folded: false, validated: kind === "run" }),
      "r",
      1,
    );
    await this.#now(step(this.#state, { type: "resume" }));
  }

  async addGram(index: number, shards: readonly number[]): Promise<void> {
    await this.producer.addGroup("extract", "r", 1, index, shards);
    const state = add(this.#state, gram(index), jobId(of("solve")), true);
    await this.#now(shards.reduce((now, shard) => add(now, extract(shard), jobId(gram(index))), state));
  }

  async take(payload: JobPayload): Promise<Taken> {
    const token = randomUUID();
    const job = await this.#workers.get(queueOf(payload.stage))?.getNextJob(token, { block: false });
    assert.equal(job?.id, jobId(payload));
    const jobs = new Map(this.#state.jobs).set(jobId(payload), {
      ...this.#model(payload),
      state: "active",
      token: 1,
    });
    await this.#now({ ...this.#state, jobs });
    return { job, payload, token };
  }

  async complete({ job, payload, token }: Taken): Promise<void> {
    await job.moveToCompleted("done", token, false).catch(async (thrown: Error) => {
      // As BullMQ's worker does with whatever ending a job throws.
      await job.moveToFailed(thrown, token, false);
    });
    await this.#now(completeJob(this.#state, this.#model(payload)));
  }

  async fail({ job, payload, token }: Taken, next: "retry" | "fail"): Promise<void> {
    const error = next === "fail" ? new UnrecoverableError("failed") : new Error("failed");
    await job.moveToFailed(error, token, false);
    await this.#now(failJob(this.#state, this.#model(payload), next));
  }

  /** Its lock lapses, and a check of any worker finds that out. */
  async stall(payload: JobPayload): Promise<void> {
    const queue = queueOf(payload.stage);
    const id = jobId(payload);
    await this.redis.del(`${queuePrefix}:${queue}:${id}:lock`);
    const worker = this.#workers.get(queue);
    void worker?.startStalledCheckTimer();
    await waitUntil("the job waits again", async () => (await this.#stateOf(queue, id)) === "waiting");
    const job = this.#model(payload);
    await this.#now(waitAgain(this.#state, { ...job, stalls: job.stalls + 1 }));
  }

  async close(): Promise<void> {
    for (const worker of this.#workers.values()) await worker.close();
    for (const queue of this.#queues.values()) await queue.close();
    await this.producer.close();
    this.redis.disconnect();
  }

  /** A job that has a share of its queue waits in another list of BullMQ's than others. */
  async #stateOf(queue: QueueName, id: string): Promise<string> {
    const state = (await this.#queues.get(queue)?.getJobState(id)) ?? "unknown";
    return state === "prioritized" ? "waiting" : state;
  }

  #model(payload: JobPayload): ModelJob {
    return this.#state.jobs.get(jobId(payload)) ?? assert.fail(`the model has no ${jobId(payload)}`);
  }

  async #now(state: RunModel): Promise<void> {
    const ids = new Set([...this.#state.jobs.keys(), ...state.jobs.keys()]);
    this.#state = state;
    const stages = new Map([...ids].map((id) => [id, queueOf(id.split(".")[2] as JobPayload["stage"])]));
    const real: Record<string, string> = {};
    const model: Record<string, string> = {};
    for (const [id, queue] of stages) {
      real[id] = await this.#stateOf(queue, id);
      model[id] = state.jobs.get(id)?.state ?? "unknown";
    }
    assert.deepEqual(real, model);
  }
}

describe("the real queues follow the model", () => {
  let database = 0;
  const play = (name: string, kind: "run" | "scoring", script: (both: Both) => Promise<void>): void => {
    it(name, async () => {
      database += 1;
      const both = new Both(server.url(database), kind);
      try {
        await script(both);
      } finally {
        await both.close();
      }
    });
  };

  play("children are added to a parent while it waits, and it waits for them too", "run", async (both) => {
    await both.start();
    const plan = await both.take(of("plan-run"));
    await both.addGram(0, [0, 1]);
    await both.complete(await both.take(extract(0)));
    await both.addGram(1, [2]);
    await both.complete(await both.take(extract(1)));
    await both.complete(await both.take(gram(0)));
    await both.complete(plan);
    await both.complete(await both.take(extract(2)));
    await both.complete(await both.take(gram(1)));
    for (const stage of ["solve", "train", "bundle"]) await both.complete(await both.take(of(stage)));
  });

  play("the failure of a child lets its parents run, up to the root, which stays", "run", async (both) => {
    await both.start();
    const plan = await both.take(of("plan-run"));
    await both.addGram(0, [0, 1]);
    await both.fail(await both.take(extract(0)), "fail");
    await both.fail(await both.take(extract(1)), "retry");
    await both.complete(plan);
    assert.equal(await both.producer.rootState("r.1.bundle"), "waiting-children");
  });

  play("a plan that fails for good ends its flow, and each above it finds out", "run", async (both) => {
    await both.start();
    await both.fail(await both.take(of("plan-run")), "fail");
    for (const stage of ["solve", "train", "bundle"]) await both.fail(await both.take(of(stage)), "fail");
    assert.equal(await both.producer.rootState("r.1.bundle"), "failed");
    assert.match(await both.producer.rootFailure("r.1.bundle"), /r\.1\.bundle failed: failed/);
  });

  play(
    "a job that stalls waits again, until who takes it gives it up, and its parent runs",
    "scoring",
    async (both) => {
      await both.start();
      const plan = of("plan-scoring");
      for (let stalls = 0; stalls <= workerDeathsAtMost; stalls += 1) {
        const taken = await both.take(plan);
        assert.equal(taken.job.stalledCounter, stalls);
        await both.stall(plan);
        assert.equal(await holdsLock(both.redis, plan, taken.token), false);
      }
      assert.equal(await isQueued(both.redis, plan), true);
      const last = await both.take(plan);
      assert.equal(treatmentAfter(last.job.stalledCounter, 0), "give-up");
      await both.fail(last, "fail");
      assert.equal(await isQueued(both.redis, plan), false);
      await both.complete(await both.take(of("close")));
    },
  );

  play("who lost a job can neither end it nor add to a parent that is gone", "run", async (both) => {
    await both.start();
    const plan = of("plan-run");
    const slept = await both.take(plan);
    assert.equal(await holdsLock(both.redis, plan, slept.token), true);
    await both.stall(plan);
    const other = await both.take(plan);
    assert.equal(await holdsLock(both.redis, plan, slept.token), false);
    await assert.rejects(slept.job.moveToCompleted("done", slept.token, false), /lock/i);
    await assert.rejects(slept.job.moveToFailed(new Error("failed"), slept.token, false), /lock/i);
    await both.addGram(0, [0]);
    await both.addGram(0, [0]);
    await both.complete(other);
    await both.complete(await both.take(extract(0)));
    await both.complete(await both.take(gram(0)));
    await both.complete(await both.take(of("solve")));
    await assert.rejects(both.producer.addGroup("extract", "r", 1, 0, [0]), /parent/i);
  });

  play("a parent at work that is given a child again tries once more when it ends", "run", async (both) => {
    await both.start();
    await both.complete(await both.take(of("plan-run")));
    const solve = await both.take(of("solve"));
    await both.addGram(0, [0]);
    await both.complete(solve);
    await both.complete(await both.take(extract(0)));
    await both.complete(await both.take(gram(0)));
  });
});
