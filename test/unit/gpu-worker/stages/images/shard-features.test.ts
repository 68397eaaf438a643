import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { viewsRecipe } from "#common/recipe/views-recipe";
import { ShardViews } from "#gpu-worker/image/views/shard-views";
import { drawViews } from "#gpu-worker/image/views/view";
import { ShardFeatures } from "#gpu-worker/stages/images/shard-features";
import fc from "fast-check";

/** Two views of one number: position and view, so that a row says where it belongs. */
const rowsOf = (position: number): number[] => [position * 2, position * 2 + 1];

describe("the rows of a shard", () => {
  it("stand in shard order without those that failed, whatever batches they came in", () => {
    const images = 12;
    const batches = fc
      .shuffledSubarray([...Array(images).keys()])
      .chain((came) => fc.record({ came: fc.constant(came), size: fc.integer({ min: 1, max: images }) }));
    fc.assert(
      fc.property(batches, ({ came, size }) => {
        const rows = new ShardFeatures(images, 2, 1);
        for (let start = 0; start < came.length; start += size) {
          const batch = came.slice(start, start + size);
          rows.setBatch(batch, Float32Array.from(batch.flatMap(rowsOf)));
        }
        const kept = came.toSorted((a, b) => a - b);
        const failed = [...Array(images).keys()].filter((position) => !came.includes(position));
        const { features, image, view } = rows.without(failed.map((position) => ({ position })));
        assert.deepEqual([...features], kept.flatMap(rowsOf));
        assert.deepEqual(
          [...image],
          kept.flatMap((position) => [position, position]),
        );
        assert.deepEqual(
          [...view],
          kept.flatMap(() => [0, 1]),
        );
      }),
    );
  });
});

describe("the views of a shard", () => {
  const entries = ["a/1.png", "a/2.png", "b/1.png"].map((key) => ({ key }));

  it("are those of each image's key, however often and in whatever order they are asked for", () => {
    for (const count of [1, 4]) {
      const views = viewsRecipe.parse({ count, rotation: 30, brightness: 0.4 });
      const drawn = new ShardViews({ views, seed: 3 }, entries);
      for (const position of [2, 0, 1, 2, 0])
        assert.deepEqual(drawn.of(position), drawViews(views, 3, entries[position]?.key ?? ""));
    }
  });
});
