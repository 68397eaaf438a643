import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  jobId,
  jobPayload,
  queueOf,
  recipe,
  scoringConfig,
  stageTable,
  workerQueues,
  type JobPayload,
} from "@trommel/common";

const payloads: JobPayload[] = [
  { stage: "plan-tune", id: "1", attempt: 1 },
  { stage: "tune", id: "1", attempt: 1, replica: 3 },
  { stage: "merge", id: "1", attempt: 1, round: 1 },
  { stage: "adopt", id: "1", attempt: 1 },
  { stage: "plan-measure", id: "1", attempt: 1 },
  { stage: "measure", id: "1", attempt: 1, shard: 0 },
  { stage: "normalize", id: "1", attempt: 1 },
  { stage: "plan-run", id: "1", attempt: 1 },
  { stage: "plan-scoring", id: "1", attempt: 1 },
  { stage: "extract", id: "1", attempt: 1, shard: 0 },
  { stage: "extract", id: "1", attempt: 1, shard: 1 },
  { stage: "extract", id: "1", attempt: 2, shard: 0 },
  { stage: "gram", id: "1", attempt: 1, gram: 0 },
  { stage: "solve", id: "1", attempt: 1 },
  { stage: "divide", id: "1", attempt: 1 },
  { stage: "standardize", id: "1", attempt: 1 },
  { stage: "plan-folds", id: "1", attempt: 1 },
  { stage: "fold", id: "1", attempt: 1, fold: 0 },
  { stage: "choose", id: "1", attempt: 1 },
  { stage: "train", id: "1", attempt: 1 },
  { stage: "bundle", id: "1", attempt: 1 },
  { stage: "score", id: "1", attempt: 1, shard: 0 },
  { stage: "close", id: "1", attempt: 1 },
  { stage: "plan-sorting", id: "1", attempt: 1 },
  { stage: "sort", id: "1", attempt: 1, shard: 0 },
  { stage: "close-sort", id: "1", attempt: 1 },
];

describe("shards", () => {
  it("have as many images at most in a scoring as in a training", () => {
    const images = (shardSize: number) => [
      recipe.safeParse({ backbones: ["net"], shardSize }).success,
      scoringConfig.shape.shardSize.safeParse(shardSize).success,
    ];
    assert.deepEqual([1, 4096, 4097, 0].map(images), [
      [true, true],
      [true, true],
      [false, false],
      [false, false],
    ]);
  });
});

describe("jobs", () => {
  it("have ids of their own that BullMQ takes: neither all digits nor with a colon", () => {
    const ids = payloads.map(jobId);
    assert.equal(new Set(ids).size, ids.length);
    for (const id of ids) assert.match(id, /^(?!\d+$)[^:]+$/);
  });

  it("each have a row in the stage table and a queue that somebody serves", () => {
    const served = ["plan", ...workerQueues] as string[];
    assert.deepEqual(new Set(payloads.map(({ stage }) => stage)), new Set(Object.keys(stageTable)));
    for (const { stage } of payloads) assert.ok(served.includes(queueOf(stage)), stage);
  });

  it("carry small, strict payloads", () => {
    for (const payload of payloads) assert.deepEqual(jobPayload.parse(payload), payload);
    for (const bad of [
      { stage: "extract", id: "1", attempt: 1 },
      { stage: "solve", id: "1", attempt: 0 },
      { stage: "solve", id: "../x", attempt: 1 },
      { stage: "solve", id: "1", attempt: 1, rows: [] },
      { stage: "sleep", id: "1", attempt: 1 },
    ]) {
      assert.equal(jobPayload.safeParse(bad).success, false, JSON.stringify(bad));
    }
  });
});
