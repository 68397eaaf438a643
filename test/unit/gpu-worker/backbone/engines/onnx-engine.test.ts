import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { TrommelError, type Device } from "@trommel/common";
import { viewsRecipe } from "#common/recipe/views-recipe";
import type { ViewBatch } from "#gpu-worker/backbone/engines/engine";
import { createEngine } from "#gpu-worker/backbone/engines/create-engine";
import { drawViews } from "#gpu-worker/image/views/view";
import { convolutionBackbone, testPictures } from "../../../../support/models/small-backbones.js";

const side = 64;
const viewCount = 3;
const backbones = [convolutionBackbone(64, 40), convolutionBackbone(48, 24)];
const recipe = viewsRecipe.parse({ count: viewCount, saturation: 0.2 });

function batchOf(first: number, imageCount: number): ViewBatch {
  const pixels = testPictures(6, side).subarray(
    first * side * side * 3,
    (first + imageCount) * side * side * 3,
  );
  const affine = new Float32Array(imageCount * viewCount * 6);
  const colour = new Float32Array(imageCount * viewCount * 12);
  for (let i = 0; i < imageCount; i += 1) {
    const views = drawViews(recipe, 1, `image ${first + i}`);
    affine.set(views.affine, i * viewCount * 6);
    colour.set(views.colour, i * viewCount * 12);
  }
  return { pixels, imageCount, affine, colour };
}

async function open(threads: number, device: Device = "cpu") {
  const engine = await createEngine({ engine: "onnx", device, threads });
  return { engine, extractor: await engine.createExtractor({ backbones, side, viewCount, colour: true }) };
}

async function refusal(device: Device): Promise<TrommelError | null> {
  try {
    await createEngine({ engine: "onnx", device, threads: 1 });
    return null;
  } catch (thrown) {
    assert.ok(thrown instanceof TrommelError);
    return thrown;
  }
}

describe("the onnx engine", () => {
  it("gives the same bytes whatever the threads, the batch's size and what ran before", async () => {
    const one = await open(1);
    const two = await open(2);
    const whole = await one.extractor.extract(batchOf(0, 6));
    assert.deepEqual(await two.extractor.extract(batchOf(0, 6)), whole);
    const width = viewCount * one.extractor.dimension;
    for (const { extractor } of [one, two]) {
      assert.deepEqual(await extractor.extract(batchOf(4, 2)), whole.subarray(4 * width));
      assert.deepEqual(await extractor.extract(batchOf(1, 1)), whole.subarray(width, 2 * width));
    }
    assert.deepEqual(await one.extractor.extract(batchOf(0, 6)), whole);
    assert.ok(new Set(whole).size > whole.length / 4, "the features say something");
    await one.extractor.release();
    await two.extractor.release();
  });

  it("reports what computes", async () => {
    const { engine, extractor } = await open(2);
    assert.equal(engine.name, "onnx");
    assert.deepEqual(
      { ...engine.device, description: "" },
      { requested: "cpu", provider: "cpu", threads: 2, description: "" },
    );
    assert.match(engine.device.description, /CPU, 2 threads/);
    await extractor.release();
  });

  it("refuses arrays that do not fit together", async () => {
    const { extractor } = await open(1);
    const batch = batchOf(0, 2);
    for (const wrong of [
      { ...batch, imageCount: 3 },
      { ...batch, affine: batch.affine.subarray(6) },
      { ...batch, colour: batch.colour.subarray(12) },
      { ...batch, pixels: batch.pixels.subarray(1) },
    ]) {
      await assert.rejects(extractor.extract(wrong), TrommelError);
    }
    await extractor.release();
  });

  it("keeps its memory flat over many runs", async () => {
    const { extractor } = await open(1);
    const batch = batchOf(0, 6);
    for (let i = 0; i < 20; i += 1) await extractor.extract(batch);
    const before = process.memoryUsage().rss;
    for (let i = 0; i < 150; i += 1) await extractor.extract(batch);
    const grownMiB = (process.memoryUsage().rss - before) / (1 << 20);
    assert.ok(grownMiB < 40, `grew by ${grownMiB} MiB`);
    await extractor.release();
  });

  it("refuses a number of threads that is none", async () => {
    for (const threads of [0, -1, 1.5]) {
      await assert.rejects(
        createEngine({ engine: "onnx", device: "cpu", threads }),
        (error) => error instanceof TrommelError && error.code === "invalid-argument",
      );
    }
  });

  for (const device of ["cuda", "webgpu"] as const) {
    it(`${device}: the same features as on the CPU, or a refusal that names what there is`, async (t) => {
      const refused = await refusal(device);
      if (refused !== null) {
        assert.equal(refused.code, "device-unavailable");
        assert.match(refused.message, new RegExp(`device ${device}.*--device cpu`, "s"));
        assert.ok((refused.context["backends"] as string[]).includes("cpu"));
        t.diagnostic(`no ${device} on this machine: only the refusal was tested`);
        return;
      }
      const cpu = await open(1);
      const other = await open(1, device);
      assert.equal(other.engine.device.provider, device);
      const expected = await cpu.extractor.extract(batchOf(0, 4));
      const actual = await other.extractor.extract(batchOf(0, 4));
      const largest = expected.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
      expected.forEach((value, i) => {
        assert.ok(Math.abs((actual[i] ?? NaN) - value) < 1e-3 * largest);
      });
      await cpu.extractor.release();
      await other.extractor.release();
    });
  }
});
