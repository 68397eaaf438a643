import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { jobId, jobPayload, queueOf, stageTable, type Stage } from "@trommel/common";

describe("the stage table", () => {
  it("has a row for every payload and no other", () => {
    const stages = jobPayload.options.map((option) => option.shape.stage.value).sort();
    assert.deepEqual(Object.keys(stageTable).sort(), stages);
  });

  it("sends plans to coordinators and the rest to workers", () => {
    for (const stage of Object.keys(stageTable) as Stage[]) {
      assert.equal(queueOf(stage) === "plan", stage.startsWith("plan-"));
    }
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
