import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import {
  LiveRun,
  openStore,
  recipe as recipeSchema,
  ReleaseStack,
  runKeys,
  writeWithMarker,
  type ObjectStore,
  type RunConfig,
} from "@trommel/common";
import { readTuningPlan } from "@trommel/common/artefacts";
import { jsonBytes, putJsonOnce, sealedJson } from "@trommel/common/codec";
import { unitJob } from "@trommel/common/jobs";
import { isQueued } from "@trommel/common/redis";
import type { PlanContext } from "#coordinator/plan/plan-context";
import { planFolds } from "#coordinator/plan/plan-folds";
import { PlanLater } from "#coordinator/plan/plan-later";
import { planTune } from "#coordinator/plan/plan-tune";
import { resolveRun } from "#coordinator/resolve/run";
import { cancelSubject, startAttempt } from "#coordinator/run-control/attempts";
import { JobProducer } from "#coordinator/run-control/queueing/job-producer";
import { readStatus } from "#coordinator/run-control/status";
import { findSubject } from "#coordinator/run-control/subject";
import { removeRun } from "#coordinator/store-keeping/remove-run";
import { temporaryFolder } from "../../support/files/temp-folder.js";
import { writeFiles } from "../../support/images/dataset.js";
import { storeWithTinyBackbone, tinyBackbone } from "../../support/models/tiny-backbone.js";
import { startRedisServer } from "../../support/servers/redis-server.js";

/** A run that tunes a network for each fold, before a real Redis and without workers: what starts, waits and stops together. */

const folder = await temporaryFolder("fold-runs");
const releases = new ReleaseStack();
const ids = ["x", "x-untuned", "x-fold-1", "x-fold-2"];
let store: ObjectStore;
let producer: JobProducer;
let config: RunConfig;

before(async () => {
  const server = await startRedisServer();
  releases.add("server", () => server.stop());
  producer = new JobProducer(server.url());
  releases.add("producer", () => producer.close());
  const dataset = join(folder, "pictures");
  const keys = ["a", "b"].flatMap((label) => [1, 2, 3, 4].map((number) => `${label}/${number}.png`));
  await writeFiles(dataset, new Map(keys.map((key) => [key, key])));
  store = openStore(await storeWithTinyBackbone(folder));
  releases.add("store", () => store.close());
  const resolved = await resolveRun({
    ...{ store, id: "x", dataset, output: undefined },
    recipe: recipeSchema.parse({ backbones: [tinyBackbone.name], tune: { folds: 2, batchSize: 2 } }),
  });
  await resolved.claim();
  config = resolved.config;
});
after(async () => assert.deepEqual(await releases.releaseAll(), []));

const phases = (): Promise<string[]> =>
  Promise.all(ids.map(async (id) => (await readStatus(store, await findSubject(store, id), producer)).phase));

async function start(id: string): Promise<number> {
  const subject = await findSubject(store, id);
  const { attempt } = await readStatus(store, subject, producer);
  return (await startAttempt(store, subject, producer, attempt)) ?? NaN;
}

const context = (attempt: number): PlanContext => ({
  ...{ attempt, store, producer, liveRun: new LiveRun(producer.redis, "x") },
  ...{ openSource: openStore, outstandingAtMost: 10, signal: new AbortController().signal },
  ...{ onNotice: () => undefined, onFull: () => undefined, costOf: () => Promise.resolve(4) },
});

describe("a run that tunes a network for each fold", () => {
  it("starts with the runs that it needs, and cancels and continues them; a fold run cancels itself alone", async () => {
    assert.equal(await start("x"), 1);
    assert.deepEqual(await phases(), ["running", "running", "running", "running"]);
    await cancelSubject(store, await findSubject(store, "x"), producer);
    assert.deepEqual(await phases(), ["cancelled", "cancelled", "cancelled", "cancelled"]);
    // Its jobs fail because of that, and the last one of them too.
    const failed = { redis: producer.redis, rootState: () => Promise.resolve("failed") };
    const rootFailure = () => Promise.resolve("the job x.1.bundle failed: it was cancelled");
    const status = await readStatus(store, await findSubject(store, "x"), {
      ...failed,
      rootFailure,
    } as unknown as JobProducer);
    assert.deepEqual([status.phase, status.error], ["cancelled", undefined]);
    assert.equal(await start("x"), 2);
    await cancelSubject(store, await findSubject(store, "x-fold-2"), producer);
    assert.deepEqual(await phases(), ["running", "running", "running", "cancelled"]);
    await assert.rejects(planFolds(config, context(2)), PlanLater);
  });

  it("reads the split once, queues a round at a time, and none after a fold run has failed", async () => {
    const rounds = (): Promise<boolean> => isQueued(producer.redis, unitJob("merge", "x", 2, 1));
    await assert.rejects(planTune(config, context(2)), PlanLater);
    assert.equal(await store.head(runKeys("x").tuning.plan), undefined);
    const split = {
      ...{ formatVersion: 3, seed: 0, folds: 2, parts: [[0, 1, 0, 1, 0, 1, 0, 1]] },
      ...{ groups: null, grouping: null, contradictions: null, notes: [] },
    };
    await putJsonOnce(store, runKeys("x-untuned").split, sealedJson(split));
    await complete("x-untuned");
    // Before the first round a worker is asked how long a step takes.
    const { tuning } = runKeys("x");
    const training = { loss: 1, accuracy: 1 };
    const figures = { round: 0, epoch: 1, steps: 4, training, heldOut: null };
    await writeWithMarker(store, tuning.checkpoint(1), Buffer.from("checkpoint"), { figures });
    await putJsonOnce(store, tuning.round(0), sealedJson({ formatVersion: 1, figures }));
    const reason = {
      formatVersion: 1,
      id: "x-fold-1",
      code: "invalid-argument",
      message: "lost",
      stage: "tune",
    };
    await store.put(runKeys("x-fold-1").stopReason, jsonBytes(reason));
    await assert.rejects(planTune(config, context(2)), { code: "invalid-argument", message: "lost" });
    assert.equal((await readTuningPlan(store, "x")).rounds.images, 8);
    assert.equal(await rounds(), false);
    await store.delete([runKeys("x-fold-1").stopReason, runKeys("x-untuned").split]);
    for (let time = 0; time < 2; time += 1) await assert.rejects(planTune(config, context(2)), PlanLater);
    assert.equal(await rounds(), true);
  });

  it("waits for the folds in the place of jobs of its own", async () => {
    await complete("x-fold-1");
    await assert.rejects(planFolds(config, context(2)), {
      code: "cancelled",
      message: /cannot continue x: x-fold-2, which it needs, is cancelled. 'trommel resume x' continues both/,
    });
    assert.equal(await start("x-fold-2"), 3);
    await assert.rejects(planFolds(config, context(2)), PlanLater);
    const liveRun = new LiveRun(producer.redis, "x");
    const { done, total, note } = await liveRun.progress(2, "fold");
    assert.deepEqual([done, total], [1, 2]);
    assert.match(note, /^x-fold-2: /);
    await complete("x-fold-2");
    await planFolds(config, context(2));
    assert.equal((await liveRun.progress(2, "fold")).done, 2);
    assert.equal(await isQueued(producer.redis, unitJob("fold", "x", 2, 0)), false);
  });

  it("waits for the networks that it takes, counts them meanwhile, and needs no run that tuned one later", async () => {
    const resolved = await resolveRun({
      ...{ store, id: "y", dataset: join(folder, "pictures"), output: undefined },
      recipe: recipeSchema.parse({
        backbones: [tinyBackbone.name],
        tune: { folds: 2, networks: "folds", batchSize: 2 },
      }),
    });
    await resolved.claim();
    const attempt = await start("y");
    const liveRun = new LiveRun(producer.redis, "y");
    const planned = { ...context(attempt), liveRun };
    await complete("y-fold-2");
    await assert.rejects(planTune(resolved.config, planned), PlanLater);
    const { done, total } = await liveRun.progress(attempt, "fold");
    assert.deepEqual([done, total], [1, 2]);
    assert.match((await liveRun.progress(attempt, "plan-tune")).note, /^y-fold-1: /);
    await complete("y-fold-1");
    await planTune(resolved.config, planned);
    await writeWithMarker(store, runKeys("y").tuning.networks, Buffer.from("{}"));
    await writeWithMarker(store, runKeys("y").choice, Buffer.from("{}"));
    for (const id of ["y-untuned", "y-fold-1", "y-fold-2"]) await removeRun(store, { kind: "run", id });
    await planTune(resolved.config, planned);
    await planFolds(resolved.config, planned);
    await cancelSubject(store, await findSubject(store, "y"), producer);
    assert.equal(await start("y"), attempt + 1);
  });
});

/** Its last file is there, which plans look at. */
async function complete(id: string): Promise<void> {
  await store.put(`${runKeys(id).bundle}/bundle.json`, Buffer.from("{}"));
}
