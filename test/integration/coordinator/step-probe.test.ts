import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { openStore, queuePrefix, recipe, ReleaseStack, TrommelError, workerTimings } from "@trommel/common";
import { stepProbes, type StepProbe } from "@trommel/common/jobs";
import { connectRedis } from "@trommel/common/redis";
import { JobProducer } from "#coordinator/run-control/queueing/job-producer";
import { askWorkers } from "#coordinator/step-time/ask-workers";
import type { StageTuner } from "#gpu-worker/stages/context";
import { answerStepProbe } from "#gpu-worker/worker/step-probe";
import { Worker } from "bullmq";
import { temporaryFolder } from "../../support/files/temp-folder.js";
import { waitUntil } from "../../support/process/wait-until.js";
import { startRedisServer, type TestRedis } from "../../support/servers/redis-server.js";

/** Asking workers for the time of a step, through a real Redis: the network and its steps alone are made up. */

const folder = await temporaryFolder("step-probe");
const store = openStore(join(folder, "store"));
const releases = new ReleaseStack();
const patience = { seenMs: 20_000, unseenMs: 1 };
const { tune, views } = recipe.parse({ backbones: ["net"], tune: { batchSize: 8 } });
let server: TestRedis;
let producer: JobProducer;

before(async () => {
  server = await startRedisServer();
  releases.add("server", () => server.stop());
  producer = new JobProducer(server.url());
  releases.add("producer", () => producer.close());
});
after(async () => {
  assert.deepEqual(await releases.releaseAll(), []);
  store.close();
});

const measured = { openMs: 1, stepMs: 2, heldOutImageMs: 3 };

const probeUntil = (untilMs: number): StepProbe => {
  assert.ok(tune !== null);
  const backbone = "net@0123456789ab";
  return { storeUrl: store.url, backbone, side: 64, classCount: 2, tune, views, untilMs };
};

async function withWorkers<Result>(
  tuners: readonly { readonly measure: StageTuner["measure"]; readonly of?: string }[],
  work: () => Promise<Result>,
): Promise<Result> {
  const own = new ReleaseStack();
  try {
    for (const { measure, of = store.url } of tuners) {
      const connection = connectRedis(server.url());
      own.add("connection", () => connection.disconnect());
      const worker = new Worker(
        "tune",
        (job, token) =>
          answerStepProbe(job, token, {
            store: Object.assign(Object.create(store) as typeof store, { url: of }),
            tuner: { measure, open: () => assert.fail("nothing is tuned") },
            ...{ drainMs: 4, shutdown: new AbortController().signal },
          }),
        { connection, prefix: queuePrefix, name: "w", drainDelay: 1, ...workerTimings },
      );
      own.add("worker", () => worker.close());
      await worker.waitUntilReady();
    }
    await waitUntil("Redis names them", async () => (await producer.workersOf("tune")) === tuners.length);
    return await work();
  } finally {
    await own.releaseAll();
  }
}

const measure = (): Promise<typeof measured> => Promise.resolve(measured);
const ask = () => askWorkers(() => Promise.resolve(producer), stepProbes, probeUntil, patience);

describe("the time of a step", () => {
  it("is unknown without a worker, and the question does not stay", async () => {
    assert.deepEqual(await ask(), {
      unknown: "no worker serves the queue tune. Start one with 'trommel worker'",
    });
    assert.deepEqual(await producer.redis.keys(`${queuePrefix}:tune:step-probe*`), []);
  });

  it("is what a worker has measured, beside how many there are", async () => {
    const asked = await withWorkers([{ measure }, { measure }], ask);
    assert.deepEqual(asked, { workers: 2, times: { ...measured, drainMs: 4 } });
  });

  it("comes from a worker of the same store", async () => {
    const foreign = { measure: () => assert.fail("of another store"), of: "file:///elsewhere" };
    assert.deepEqual(await withWorkers([foreign, { measure }], ask), {
      workers: 2,
      times: { ...measured, drainMs: 4 },
    });
  });

  it("is the worker's error where it cannot take a step", async () => {
    const error = new TrommelError("unsupported", "cannot tune through a softmax");
    await assert.rejects(withWorkers([{ measure: () => Promise.reject(error) }], ask), {
      code: "unsupported",
      message: error.message,
    });
  });

  it("is unknown where workers are busy for longer than it is waited", async () => {
    const busy = new EventEmitter();
    const measureLate = async (): Promise<typeof measured> => {
      await once(busy, "free");
      return measured;
    };
    const asked = await withWorkers([{ measure: measureLate }], async () => {
      const answer = await askWorkers(() => Promise.resolve(producer), stepProbes, probeUntil, {
        ...patience,
        seenMs: 300,
      });
      busy.emit("free");
      return answer;
    });
    assert.deepEqual(asked, {
      unknown: "the worker of the queue tune has not answered within 0.3 s: busy, or of another store",
    });
  });
});
