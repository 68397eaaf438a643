import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parquetMetadataAsync, parquetReadObjects } from "hyparquet";
import { parquetFeatures } from "#gpu-worker/exports/feature-files";
import type { FeatureRows } from "#gpu-worker/exports/feature-rows";

describe("features as Parquet", () => {
  it("are written in row groups of a bounded size, whatever the size of a shard", async () => {
    const dimension = 2 ** 18;
    const numbers = Float32Array.from({ length: 3 * dimension }, (_, i) => i % 4096);
    const shards: FeatureRows[] = [
      { keys: ["a", "a", "b"], views: Uint8Array.of(0, 1, 0), features: numbers },
      { keys: [], views: new Uint8Array(), features: new Float32Array() },
      { keys: ["c"], views: Uint8Array.of(0), features: numbers.subarray(7, 7 + dimension) },
    ];
    const chunks: Uint8Array[] = [];
    const rows = (async function* () {
      await Promise.resolve();
      yield* shards;
    })();
    for await (const chunk of parquetFeatures(rows, { dimension, type: "f32" }, {})) chunks.push(chunk);
    const file = new Uint8Array(Buffer.concat(chunks)).buffer;
    const { row_groups: groups } = await parquetMetadataAsync(file);
    assert.deepEqual(
      groups.map((group) => group.num_rows),
      [2n, 1n, 1n],
    );
    const found = (await parquetReadObjects({ file })) as Record<string, unknown>[];
    const starts = [0, dimension, 2 * dimension, 7];
    assert.deepEqual(
      found.map(({ key, view }) => [key, view]),
      [
        ["a", 0],
        ["a", 1],
        ["b", 0],
        ["c", 0],
      ],
    );
    for (const [row, start] of starts.entries()) {
      const embedding = found[row]?.["embedding"] as readonly number[];
      assert.equal(embedding.length, dimension);
      assert.ok(embedding.every((value, i) => value === (start + i) % 4096));
    }
  });
});
