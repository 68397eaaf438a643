import assert from "node:assert/strict";
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { pathToFileURL } from "node:url";
import { jobId, queueOf, stageTable } from "@trommel/common";
import { loadStage } from "#common/jobs/load-stage";
import { lastBarrierOf, stages } from "#common/jobs/pipeline";
import { argumentsOf, singleJob, stageOfSingleJob, unitJob } from "#common/jobs/queues";
import { flowOf, type FlowStage } from "#common/jobs/run-rules";
import { temporaryFolder } from "../../../support/files/temp-folder.js";

describe("the stage table", () => {
  it("sends plans to coordinators and the rest to workers", () => {
    for (const stage of stages) assert.equal(queueOf(stage) === "plan", stage.startsWith("plan-"), stage);
  });

  it("orders each subject's single jobs into one flow, as its stages depend on one another", () => {
    const chain = (flow: FlowStage | undefined): string[] =>
      flow === undefined ? [] : [flow.stage, ...chain(flow.children[0])];
    const run = ["bundle", "train", "solve", "plan-run"];
    assert.deepEqual(
      chain(flowOf("run", { tuned: false, measured: false, folded: false, validated: true })),
      run,
    );
    assert.deepEqual(chain(flowOf("run", { tuned: false, measured: true, folded: false, validated: true })), [
      ...run,
      "normalize",
      "plan-measure",
    ]);
    assert.deepEqual(
      chain(flowOf("scoring", { tuned: false, measured: false, folded: false, validated: false })),
      ["close", "plan-scoring"],
    );
  });

  it("puts a barrier of the same subject above every stage of many jobs, and above no other", () => {
    for (const [place, stage] of stages.entries()) {
      const { unit, barrier, subject } = stageTable[stage];
      assert.equal(barrier !== undefined, unit !== "one", stage);
      if (barrier === undefined) continue;
      assert.equal(stageTable[barrier].subject, subject, stage);
      assert.ok(stages.indexOf(barrier) > place, `${barrier} comes before ${stage}`);
    }
  });

  it("counts the shards behind each job that the last barrier waits for", () => {
    assert.deepEqual(lastBarrierOf("measure"), { stage: "normalize", shards: 1 });
    assert.deepEqual(lastBarrierOf("extract"), { stage: "solve", shards: 16 });
    assert.deepEqual(lastBarrierOf("gram"), { stage: "solve", shards: 16 });
    assert.deepEqual(lastBarrierOf("score"), { stage: "close", shards: 1 });
  });

  it("has a file for every stage, with a function of its name that takes an id, a number if there are many, and a context", async () => {
    for (const stage of stages) {
      const { runsOn, unit } = stageTable[stage];
      const folder = runsOn === "coordinator" ? "coordinator/dist/plan/" : "gpu-worker/dist/stages/";
      const run = await loadStage(stage, new URL(`../../../../../packages/${folder}`, import.meta.url));
      assert.equal(run.length, unit === "one" ? 2 : 3, stage);
    }
  });

  it("has an entry for every file of the worker's stages", async () => {
    const folder = new URL("../../../../../packages/gpu-worker/src/stages/", import.meta.url);
    const files = (await readdir(folder)).filter((file) => file.endsWith(".ts") && file !== "context.ts");
    const ofWorkers = stages.filter((stage) => stageTable[stage].runsOn !== "coordinator");
    assert.deepEqual(files.sort(), ofWorkers.map((stage) => `${stage}.ts`).sort());
  });

  it("finds no stage in a file that exports another function", async () => {
    const folder = await temporaryFolder("stage-table");
    await writeFile(join(folder, "close.js"), "export const open = () => undefined;\n");
    await assert.rejects(loadStage("close", pathToFileURL(`${folder}/`)), {
      code: "internal",
      message: "cannot load the stage close: its file exports no function close",
    });
  });

  it("gives each unit's payload its number and finds single jobs by their ids", () => {
    assert.deepEqual(unitJob("gram", "7", 2, 3), { stage: "gram", id: "7", attempt: 2, gram: 3 });
    assert.deepEqual(argumentsOf(unitJob("score", "7", 1, 0)), ["7", 0]);
    assert.deepEqual(argumentsOf(singleJob("close", "7", 1)), ["7"]);
    assert.throws(() => singleJob("score", "7", 1), { code: "internal" });
    assert.throws(() => unitJob("close", "7", 1, 0), { code: "internal" });
    assert.equal(stageOfSingleJob("a.b.1.plan-run"), "plan-run");
    assert.equal(stageOfSingleJob(jobId(unitJob("score", "7", 1, 0))), undefined);
    assert.equal(stageOfSingleJob(""), undefined);
  });

  it("names jobs apart by run, attempt, stage and unit, as BullMQ accepts them", () => {
    const ids = [
      jobId({ stage: "extract", id: "7", attempt: 1, shard: 0 }),
      jobId({ stage: "extract", id: "7", attempt: 1, shard: 1 }),
      jobId({ stage: "extract", id: "7", attempt: 2, shard: 0 }),
      jobId({ stage: "gram", id: "7", attempt: 1, gram: 0 }),
      jobId({ stage: "solve", id: "7", attempt: 1 }),
    ];
    assert.equal(new Set(ids).size, ids.length);
    for (const id of ids) assert.doesNotMatch(id, /:|^\d+$/);
  });
});
