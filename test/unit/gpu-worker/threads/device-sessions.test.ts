import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { viewsRecipe } from "#common/recipe/views-recipe";
import type { ViewBatch } from "#gpu-worker/backbone/engines/engine";
import { createEngine } from "#gpu-worker/backbone/engines/create-engine";
import { drawViews } from "#gpu-worker/image/views/view";
import { DeviceClient } from "#gpu-worker/threads/device-client";
import { convolutionBackbone, testPictures } from "../../../support/models/small-backbones.js";

const side = 48;
const viewCount = 2;
const pictureCount = 12;
const backbones = [convolutionBackbone(48, 24)];
const options = { backbones, side, viewCount, colour: false };
const recipe = viewsRecipe.parse({ count: viewCount });

/** A batch of one picture, in memory of its own: the client moves it away. */
function batchOf(picture: number): ViewBatch {
  const sizeBytes = side * side * 3;
  const views = drawViews(recipe, 1, `picture ${picture}`);
  return {
    pixels: testPictures(pictureCount, side).slice(picture * sizeBytes, (picture + 1) * sizeBytes),
    imageCount: 1,
    affine: Float32Array.from(views.affine),
    colour: Float32Array.from(views.colour),
  };
}

function joined(batches: readonly ViewBatch[]): ViewBatch {
  const floats = (pick: (batch: ViewBatch) => Float32Array) =>
    Float32Array.from(batches.flatMap((batch) => [...pick(batch)]));
  return {
    pixels: Uint8Array.from(batches.flatMap((batch) => [...batch.pixels])),
    imageCount: batches.length,
    affine: floats((batch) => batch.affine),
    colour: floats((batch) => batch.colour),
  };
}

const pictures = Array.from({ length: pictureCount }, (_, picture) => picture);

describe("the device's sessions", () => {
  const single = new DeviceClient({ engine: "onnx", device: "cpu", threads: 1, modelsAtMost: 2 });
  const several = new DeviceClient({ engine: "onnx", device: "cpu", threads: 6, modelsAtMost: 2 });
  after(() => Promise.all([single.stop(), several.stop()]));

  it("share out the threads, four sessions at most, none lost", async () => {
    for (const [client, threads, sessions] of [
      [single, 1, 1],
      [several, 6, 4],
    ] as const) {
      assert.equal(client.sessionCount, sessions);
      assert.equal((await client.report()).threads, threads);
    }
  });

  it("give each batch the bytes that the engine gives it, whichever computes it", async () => {
    const engine = await createEngine({ engine: "onnx", device: "cpu", threads: 2 });
    const extractor = await engine.createExtractor(options);
    const expected: Float32Array[] = [];
    for (const picture of pictures) expected.push(await extractor.extract(batchOf(picture)));
    await extractor.release();

    const client = several;
    await client.ensureExtractor("small", () => Promise.resolve(options));
    const got = await Promise.all(pictures.map((picture) => client.extract("small", batchOf(picture))));
    assert.deepEqual(got, expected);
    assert.notDeepEqual(got[0], got[1]);
  });

  it("give the same bytes whatever the batch", async () => {
    const client = several;
    await client.ensureExtractor("small", () => Promise.resolve(options));
    const alone = await Promise.all(pictures.map((picture) => client.extract("small", batchOf(picture))));
    for (const size of [2, 5, pictureCount]) {
      const together: number[] = [];
      for (let start = 0; start < pictureCount; start += size) {
        const batches = pictures.slice(start, start + size).map(batchOf);
        together.push(...(await client.extract("small", joined(batches))));
      }
      assert.deepEqual(
        together,
        alone.flatMap((rows) => [...rows]),
      );
    }
  });

  it("take the oldest shard's batches first, whenever they come", async () => {
    const client = single;
    await client.ensureExtractor("small", () => Promise.resolve(options));
    const ended: string[] = [];
    const compute = async (name: string, order: number): Promise<void> => {
      await client.extract("small", batchOf(0), order);
      ended.push(name);
    };
    // One is computed and one waits in the thread before the third asks.
    const young = ["a", "b", "c", "d"].map((name) => compute(name, 2));
    await Promise.all([...young, compute("old", 1)]);
    assert.deepEqual(ended, ["a", "b", "old", "c", "d"]);
  });

  it("read a model once for all of them, however many shards ask", async () => {
    let reads = 0;
    const read = () => Promise.resolve((reads += 1)).then(() => options);
    await several.ensureExtractor("another", read);
    await several.ensureExtractor("another", read);
    assert.equal(reads, 1);
  });
});
