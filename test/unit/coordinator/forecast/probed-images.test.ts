import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ProbedImages } from "#coordinator/forecast/probed-images";

function drawnOf(count: number): number[] {
  const images = new ProbedImages();
  for (let index = 0; index < count; index += 1) images.add({ key: `${index}`, sizeBytes: index, etag: "" });
  return images.entries.map(({ key }) => Number(key));
}

describe("the images that a worker tries", () => {
  it("are all of a few, and 64 different ones of many", () => {
    assert.deepEqual(drawnOf(3), [0, 1, 2]);
    const drawn = drawnOf(6400);
    assert.equal(new Set(drawn).size, 64);
    assert.ok(drawn.every((index) => index >= 0 && index < 6400));
  });

  it("come from all of the listing", () => {
    const drawn = drawnOf(6400);
    // The mean of 64 uniform draws below 6400 has a deviation of 6400 / √12 / 8 = 231.
    const mean = drawn.reduce((sum, index) => sum + index, 0) / drawn.length;
    assert.ok(Math.abs(mean - 3200) < 3 * 231, `${mean}`);
    for (const from of [0, 1600, 3200, 4800])
      assert.ok(drawn.some((index) => index >= from && index < from + 1600));
  });

  it("have what a worker needs of them, and not their columns", () => {
    const images = new ProbedImages();
    const image = { key: "a", sizeBytes: 1, etag: "e", at: { object: "s3://b/a" } };
    images.add(Object.assign({ carried: [1], label: "x" }, image));
    assert.deepEqual(images.entries, [image]);
  });
});
