import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { jobId, jobPayload, queueOf, stageTable, type Stage } from "@trommel/common";

const readme = fileURLToPath(new URL("../../../../../README.md", import.meta.url));

describe("the stage table", () => {
  it("is the README's", async () => {
    const lines = (await readFile(readme, "utf8")).split("\n");
    const start = lines.findIndex((line) => /^\| stage +\| queue /.test(line));
    const rows = lines.slice(start + 2, lines.indexOf("", start)).map((line) =>
      line
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.trim().replaceAll("`", "")),
    );
    const expected = Object.entries(stageTable).map(([stage, row]) => [
      stage,
      row.queue,
      row.consumes,
      row.produces,
      row.waitsFor,
    ]);
    assert.deepEqual(rows, expected);
  });

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
