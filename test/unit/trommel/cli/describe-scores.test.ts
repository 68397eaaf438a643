import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Ledger } from "@trommel/common";
import { describeScores } from "#trommel/cli/describe/describe-scores";

const ledger: Ledger = {
  formatVersion: 1,
  listed: 30,
  ok: 28,
  failed: 2,
  skipped: 0,
  balanced: true,
  failedByReason: { empty: 2 },
  skippedByReason: {},
  shards: 1,
};
const location = "file:///scores";
const labelled = (images: readonly number[]) => images.map((count, i) => ({ label: `l${i}`, images: count }));

describe("what a finished scoring says", () => {
  it("names the most frequent labels, the earlier first on a tie, and says how many more there are", () => {
    const counts = {
      formatVersion: 1 as const,
      images: 28,
      labels: labelled([1, 9, 0, 4, 9, 2, 1, 2]),
      groups: null,
    };
    assert.deepEqual(describeScores({ ledger, location, counts }), [
      "labels: l1 9, l4 9, l3 4, l5 2, l7 2, and 2 more",
    ]);
  });

  it("says how many images have another label than in an earlier scoring, and which labels", () => {
    const model = { location: "file:///models/a", modelSha256: "" };
    const differences = {
      formatVersion: 1 as const,
      before: { scoring: "score-1", output: "file:///first", generation: 0, retries: 0, model },
      ...{ inBoth: 28, same: 25, different: 3, onlyBefore: 2, onlyAfter: 0 },
      changes: [
        { before: "can", after: "cup", images: 2 },
        { before: "jar", after: "unknown", images: 1 },
      ],
      otherChanges: 0,
    };
    assert.deepEqual(describeScores({ ledger, location, differences }), [
      "3 of 28 images have another label than in score-1",
      "label changes: can → cup 2, jar → unknown 1",
      "only in score-1: 2 images; only in this scoring: 0",
    ]);
  });

  it("names groups, and says which pictures a submission lacks", () => {
    const counts = {
      formatVersion: 1 as const,
      images: 3,
      labels: labelled([1, 2]),
      groups: [
        { group: "可回收物", images: 3 },
        { group: "其他垃圾", images: 0 },
      ],
    };
    const submission = { merged: true as const, file: "submission.csv", rows: 28, sizeBytes: 9, sha256: "" };
    assert.deepEqual(describeScores({ ledger, location, counts, submission }), [
      "groups: 可回收物 3",
      "labels: l1 2, l0 1",
      "submission.csv: 28 rows; 2 that failed have none (errors.jsonl)",
    ]);
  });

  it("says that a submission is not written, and why", () => {
    const submission = { merged: false as const, reason: "too-large" as const, detail: "it would be" };
    const counts = {
      formatVersion: 1 as const,
      images: 0,
      labels: labelled([0, 0]),
      groups: null,
    };
    assert.deepEqual(describeScores({ ledger, location, counts, submission }), [
      "labels: none",
      "submission.csv is not written: it would be",
    ]);
  });

  it("says how many pictures are unknown", () => {
    const counts = { formatVersion: 1 as const, images: 3, labels: labelled([1]), unknown: 2, groups: null };
    assert.deepEqual(describeScores({ ledger, location, counts }), ["labels: l0 1", "unknown: 2 images"]);
  });

  it("says that no picture is unknown, where one could have been", () => {
    const counts = { formatVersion: 1 as const, images: 3, labels: labelled([3]), unknown: 0, groups: null };
    assert.deepEqual(describeScores({ ledger, location, counts }), ["labels: l0 3", "unknown: 0 images"]);
  });

  it("says nothing of a training", () => {
    assert.deepEqual(describeScores({ ledger, location, accuracy: 1 }), []);
  });
});
