import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { FailedRow, Shard } from "@trommel/common";
import { LedgerBuilder } from "@trommel/gpu-worker/stages/ledger";

function shardOf(index: number, files: number, skipped: readonly ("hidden" | "no-label")[] = []): Shard {
  return {
    formatVersion: 1,
    index,
    hash: "0".repeat(64),
    entries: Array.from({ length: files }, (_, i) => ({ key: `a/${index}-${i}`, sizeBytes: 1, etag: "e" })),
    skipped: skipped.map((reason, i) => ({ key: `.${i}`, reason })),
  };
}

const failedRow = (position: number, reason: FailedRow["reason"]): FailedRow => ({
  position,
  key: `a/${position}`,
  reason,
  detail: "because",
  tries: 2,
});

describe("LedgerBuilder", () => {
  it("adds up shards, reasons and errors", () => {
    const builder = new LedgerBuilder();
    builder.add(shardOf(0, 5, ["hidden", "no-label"]), 3, [failedRow(1, "empty"), failedRow(4, "truncated")]);
    builder.add(shardOf(1, 2, ["hidden"]), 1, [failedRow(0, "empty")]);
    assert.deepEqual(builder.ledger(10), {
      formatVersion: 1,
      listed: 10,
      ok: 4,
      failed: 3,
      skipped: 3,
      balanced: true,
      failedByReason: { empty: 2, truncated: 1 },
      skippedByReason: { hidden: 2, "no-label": 1 },
      shards: 2,
    });
    const lines = Buffer.from(builder.errorLines()).toString("utf8").trimEnd().split("\n");
    assert.deepEqual(
      lines.map((line) => JSON.parse(line) as unknown),
      [
        { key: "a/1", reason: "empty", detail: "because", tries: 2, shard: 0 },
        { key: "a/4", reason: "truncated", detail: "because", tries: 2, shard: 0 },
        { key: "a/0", reason: "empty", detail: "because", tries: 2, shard: 1 },
      ],
    );
  });

  it("refuses a shard that does not balance", () => {
    const builder = new LedgerBuilder();
    assert.throws(() => builder.add(shardOf(7, 3), 3, [failedRow(0, "empty")]), {
      code: "corrupt",
      message: /shard 7: 3 files, but 3 ok and 1 failed/,
    });
    assert.throws(() => builder.add(shardOf(7, 3), 2, []), { code: "corrupt" });
  });

  it("refuses a listing that counted something else", () => {
    const builder = new LedgerBuilder();
    builder.add(shardOf(0, 3), 3, []);
    assert.throws(() => builder.ledger(4), { code: "corrupt", message: /4 listed, but 3 ok \+ 0 failed/ });
    assert.equal(builder.ledger(3).balanced, true);
  });
});
