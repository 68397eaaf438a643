import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ImageBatches, type ImageBatch } from "#gpu-worker/stages/images/image-batches";

const side = 2;
const pictureOf = (position: number) => ({
  position,
  key: `a/${position}`,
  ok: true as const,
  pixels: new Uint8Array(side * side * 3).fill(position + 1),
});

function pack(positions: readonly number[], size: number): ImageBatch[] {
  const batches = new ImageBatches(side, size);
  const full = positions.map((position) => batches.add(pictureOf(position)));
  return [...full, batches.rest()].filter((batch) => batch !== undefined);
}

describe("ImageBatches", () => {
  it("packs in order, the last one short", () => {
    const batches = pack([0, 2, 3, 7, 9], 2);
    assert.deepEqual(
      batches.map(({ positions }) => positions),
      [[0, 2], [3, 7], [9]],
    );
    assert.deepEqual(batches[1]?.keys, ["a/3", "a/7"]);
    for (const { pixels, positions } of batches) {
      assert.equal(pixels.length, positions.length * side * side * 3);
      assert.equal(pixels.buffer.byteLength, pixels.length, "the buffer is moved to the device whole");
      for (const [i, position] of positions.entries()) {
        const own = pixels.subarray(i * side * side * 3, (i + 1) * side * side * 3);
        assert.ok(own.every((value) => value === position + 1));
      }
    }
  });

  it("does not write into a batch that it has given away", () => {
    const batches = new ImageBatches(side, 1);
    const first = batches.add(pictureOf(0));
    batches.add(pictureOf(1));
    assert.ok(first?.pixels.every((value) => value === 1));
  });

  it("has no rest where nothing came, or a batch was just filled", () => {
    assert.equal(new ImageBatches(side, 3).rest(), undefined);
    assert.equal(pack([0, 1], 2).length, 1);
  });
});
