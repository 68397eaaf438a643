import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CommitLog } from "../../chaos/commit-log.js";

const feature = `/store/features/${"a".repeat(64)}/${"b".repeat(64)}.safetensors`;

function logOf(...puts: readonly (string | readonly [string, number])[]): CommitLog {
  const log = new CommitLog();
  for (const put of puts) {
    const [path, status] = typeof put === "string" ? ([put, 200] as const) : put;
    log.note({ method: "PUT", path, status });
  }
  return log;
}

describe("the log of commits", () => {
  it("counts a shard when its marker is written", () => {
    const { committed, repeated, recommitted } = logOf(
      feature,
      `${feature}.json`,
      "/scores/round-0001/part-00003.jsonl",
      "/scores/round-0001/part-00003.jsonl.json",
      "/store/runs/r/projection.safetensors",
      "/store/runs/r/projection.safetensors.json",
    );
    assert.deepEqual({ committed, repeated, recommitted }, { committed: 2, repeated: 0, recommitted: 0 });
  });

  it("tells a repeat before the commit from one after it", () => {
    const { committed, repeated, recommitted } = logOf(feature, feature, `${feature}.json`, feature);
    assert.deepEqual({ committed, repeated, recommitted }, { committed: 1, repeated: 2, recommitted: 1 });
  });

  it("leaves out what the server refused, and starts anew when the store is emptied", () => {
    const log = logOf(feature, [`${feature}.json`, 412]);
    assert.equal(log.committed, 0);
    log.forget();
    log.note({ method: "PUT", path: feature, status: 200 });
    assert.equal(log.repeated, 0);
  });
});
