import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { shardHash, type FailedImage, type Shard } from "@trommel/common";
import { checkImageKeys } from "#gpu-worker/stages/scoring/score-part";
import fc from "fast-check";

const keys = ["a", "b", "c", "d", "e"];
const entries = keys.map((key) => ({ key, sizeBytes: 1, etag: "e" }));
const shard: Shard = { formatVersion: 1, index: 3, hash: shardHash(entries), entries, skipped: [] };

function failedAt(positions: readonly number[]): FailedImage[] {
  return positions.map((position) => ({
    position,
    key: keys[position] ?? "",
    reason: "empty",
    detail: "",
    tries: 1,
  }));
}

describe("the rows of a part", () => {
  it("are taken only where they are the shard's other rows, each once and in order", () => {
    const positions = fc.subarray([0, 1, 2, 3, 4]);
    const rows = fc.array(fc.constantFrom(...keys), { maxLength: 6 });
    fc.assert(
      fc.property(positions, fc.oneof(rows, fc.subarray(keys)), (failed, found) => {
        const right = keys.filter((_, position) => !failed.includes(position)).join();
        const check = (): void => checkImageKeys("part-00003.jsonl", found, shard, failedAt(failed));
        if (found.join() === right) check();
        else assert.throws(check, { code: "corrupt", message: /part-00003\.jsonl.*shard 3.*resume/ });
      }),
    );
    checkImageKeys("part", keys.slice(1), shard, failedAt([0]));
  });
});
