import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import sharp from "sharp";
import { trainingRecipe } from "@trommel/common";
import { hasGlyphs } from "#gpu-worker/report/stroke-font";
import { trainingChart, trainingChartPng, type TrainingCurves } from "#gpu-worker/report/training-chart";
import { temporaryFolder } from "../../support/files/temp-folder.js";

const folder = await temporaryFolder("loss-curves");

describe("loss curves as PNG", () => {
  it("are a picture of sensible size on white, with both curves and the text in it", async () => {
    const bytes = await trainingChartPng(curvesOf(30, 20));
    const { format, width, height, hasAlpha } = await sharp(bytes).metadata();
    assert.deepEqual(
      { format, width, height, hasAlpha },
      { format: "png", width: 1840, height: 1240, hasAlpha: false },
    );
    assert.ok(bytes.length > 20_000 && bytes.length < 500_000, `${bytes.length} bytes`);
    const pixels = await sharp(bytes).raw().toBuffer();
    const count = (red: number, green: number, blue: number) => {
      let found = 0;
      for (let i = 0; i < pixels.length; i += 3) {
        if (pixels[i] === red && pixels[i + 1] === green && pixels[i + 2] === blue) found += 1;
      }
      return found;
    };
    assert.ok(count(255, 255, 255) > 0.8 * width * height, "white");
    // The chart's own colours: training #8f9aa6, validation #1f7fd4, rate #c9772b, headings black.
    assert.ok(count(0x8f, 0x9a, 0xa6) > 2000, "training");
    assert.ok(count(0x1f, 0x7f, 0xd4) > 2000, "validation");
    assert.ok(count(0xc9, 0x77, 0x2b) > 2000, "learning rate");
    assert.ok(count(0, 0, 0) > 500, "text");
  });

  it("show another training otherwise, and one of a single epoch", async () => {
    const bytes = await trainingChartPng(curvesOf(30, 20));
    assert.deepEqual(await trainingChartPng(curvesOf(30, 20)), bytes);
    assert.notDeepEqual(await trainingChartPng(curvesOf(30, 21)), bytes);
    assert.notDeepEqual(await trainingChartPng(curvesOf(29, 20)), bytes);
    assert.equal((await sharp(await trainingChartPng(curvesOf(1, 1))).metadata()).width, 1840);
  });

  it("have a stroke for every character of their texts", () => {
    const all = [curvesOf(1), curvesOf(30), curvesOf(2000), curvesOf(30, 1, 1e5), curvesOf(30, 1, 1e-5)];
    const falling = trainingRecipe.parse({ schedule: { type: "cosine" } });
    for (const curves of [...all, ...all.map((curves) => ({ ...curves, training: falling }))]) {
      const texts = [...trainingChart(curves).matchAll(/<text[^>]*>([^<]*)</g)].map(
        (match) => match[1] ?? "",
      );
      assert.ok(texts.length > 10);
      for (const text of texts) assert.ok(hasGlyphs(text), text);
    }
  });

  it("are the same bytes on a machine without fonts", async () => {
    const none = join(folder, "none.conf");
    await writeFile(none, "<fontconfig></fontconfig>");
    const script = join(folder, "draw.mjs");
    const chart = fileURLToPath(import.meta.resolve("#gpu-worker/report/training-chart"));
    const curves = curvesOf(30, 20);
    await writeFile(
      script,
      `import { trainingChartPng } from ${JSON.stringify(chart)};\n` +
        `import { writeFileSync } from "node:fs";\n` +
        `writeFileSync(process.argv[2], await trainingChartPng(${JSON.stringify(curves)}));\n`,
    );
    const drawn = join(folder, "drawn.png");
    const env = { ...process.env, FONTCONFIG_FILE: none };
    await promisify(execFile)(process.execPath, [script, drawn], { env });
    assert.deepEqual(new Uint8Array(await readFile(drawn)), new Uint8Array(await trainingChartPng(curves)));
  });
});

/** A training that gets better; losses and rates in units of `scale`. */
function curvesOf(epochs: number, bestEpoch = 1, scale = 1): TrainingCurves {
  const history = Array.from({ length: epochs }, (_, i) => ({
    epoch: i + 1,
    learningRate: scale * 0.01 * 0.2 ** Math.floor(i / 10),
    trainLoss: scale / (i + 1),
    trainAccuracy: 1 - 0.5 / (i + 1),
    validationLoss: (1.2 * scale) / (i + 1) + 0.1 * scale,
    validationAccuracy: 0.9 - 0.4 / (i + 1),
  }));
  return { history, bestEpoch, training: trainingRecipe.parse({}) };
}
