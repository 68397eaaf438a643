import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, it } from "node:test";
import { seedFrom } from "@trommel/common";
import sharp from "sharp";
import {
  drawWastePicture,
  wasteClasses,
  writeLabelledPictures,
  writeUnlabelledPictures,
} from "../../demo/draw-waste-pictures.js";

const binsPerChannel = 8;
const bins = binsPerChannel ** 3;

interface Example {
  readonly histogram: Float64Array;
  readonly label: number;
}

/** The share of the pixels in each of 8 × 8 × 8 cubes of RGB, as square roots (Hellinger), where both classifiers do best. */
async function colourHistogram(picture: Buffer): Promise<Float64Array> {
  const { data, info } = await sharp(picture).raw().toBuffer({ resolveWithObject: true });
  const histogram = new Float64Array(bins);
  for (let at = 0; at < data.length; at += 3) {
    const [red = 0, green = 0, blue = 0] = data.subarray(at, at + 3);
    const bin = ((red >> 5) * binsPerChannel + (green >> 5)) * binsPerChannel + (blue >> 5);
    histogram[bin] = (histogram[bin] ?? 0) + 1;
  }
  return histogram.map((count) => Math.sqrt(count / (info.width * info.height)));
}

async function examples(perClass: number, part: string): Promise<Example[]> {
  const drawn: Example[] = [];
  for (const [label, wasteClass] of wasteClasses.entries()) {
    for (let index = 0; index < perClass; index += 1) {
      const picture = await drawWastePicture(wasteClass, seedFrom(part, wasteClass, index));
      drawn.push({ histogram: await colourHistogram(picture), label });
    }
  }
  return drawn;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let at = 0; at < a.length; at += 1) sum += (a[at] ?? 0) * (b[at] ?? 0);
  return sum;
}

const indexOfLargest = (values: readonly number[]): number => values.indexOf(Math.max(...values));

function accuracyOf(classify: (histogram: Float64Array) => number, heldOut: readonly Example[]): number {
  return heldOut.filter(({ histogram, label }) => classify(histogram) === label).length / heldOut.length;
}

function nearestCentroid(known: readonly Example[]): (histogram: Float64Array) => number {
  const centroids = wasteClasses.map((_, label) => {
    const own = known.filter((example) => example.label === label);
    return Float64Array.from(
      { length: bins },
      (__, bin) => own.reduce((sum, { histogram }) => sum + (histogram[bin] ?? 0), 0) / own.length,
    );
  });
  return (histogram) =>
    indexOfLargest(centroids.map((centroid) => 2 * dot(centroid, histogram) - dot(centroid, centroid)));
}

/** Multinomial logistic regression by full-batch gradient descent with weight decay. */
function logisticRegression(known: readonly Example[]): (histogram: Float64Array) => number {
  const weights = wasteClasses.map(() => new Float64Array(bins));
  const logits = (histogram: Float64Array): number[] => weights.map((row) => dot(row, histogram));
  for (let step = 0; step < 120; step += 1) {
    const gradients = wasteClasses.map((_, label) =>
      (weights[label] ?? new Float64Array()).map((weight) => 1e-4 * weight),
    );
    for (const { histogram, label } of known) {
      const exponentials = logits(histogram).map(Math.exp);
      const total = exponentials.reduce((sum, value) => sum + value, 0);
      for (const [at, gradient] of gradients.entries()) {
        const error = ((exponentials[at] ?? 0) / total - (at === label ? 1 : 0)) / known.length;
        for (let bin = 0; bin < bins; bin += 1)
          gradient[bin] = (gradient[bin] ?? 0) + error * (histogram[bin] ?? 0);
      }
    }
    for (const [at, row] of weights.entries()) {
      for (let bin = 0; bin < bins; bin += 1) row[bin] = (row[bin] ?? 0) - 10 * (gradients[at]?.[bin] ?? 0);
    }
  }
  return (histogram) => indexOfLargest(logits(histogram));
}

async function temporaryFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(path.join(tmpdir(), "trommel-pictures-"));
  try {
    await use(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

const hashOf = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");

describe("the demo's pictures", () => {
  it("cannot be told apart by their colours", async () => {
    const known = await examples(24, "known");
    const heldOut = await examples(14, "held out");
    const byCentroid = accuracyOf(nearestCentroid(known), heldOut);
    const regression = logisticRegression(known);
    const byRegression = accuracyOf(regression, heldOut);
    // The regression must at least have learnt what it saw, or its failure on the rest would say nothing.
    assert.ok(accuracyOf(regression, known) > 0.6, "the regression has not learnt its own pictures");
    assert.ok(byCentroid < 0.45, `the nearest centroid reaches ${byCentroid}`);
    assert.ok(byRegression < 0.45, `the regression reaches ${byRegression}`);
  });

  it("are the same bytes for the same seed, and others for another", async () => {
    const [first, again, other] = await Promise.all([7, 7, 8].map((seed) => drawWastePicture("mug", seed)));
    assert.deepEqual(first, again);
    assert.notDeepEqual(first, other);
  });

  it("are one folder a class, with as many pictures in each, no two alike", async () => {
    await temporaryFolder(async (folder) => {
      await writeLabelledPictures(folder, 3, 1);
      assert.deepEqual((await readdir(folder)).sort(), [...wasteClasses].sort());
      const hashes = new Set<string>();
      for (const wasteClass of wasteClasses) {
        assert.deepEqual((await readdir(path.join(folder, wasteClass))).sort(), [
          "000.jpg",
          "001.jpg",
          "002.jpg",
        ]);
        for (const name of ["000.jpg", "001.jpg", "002.jpg"]) {
          hashes.add(hashOf(await readFile(path.join(folder, wasteClass, name))));
        }
      }
      assert.equal(hashes.size, 3 * wasteClasses.length);
    });
  });

  it("to be scored come with three files that no decoder takes", async () => {
    await temporaryFolder(async (folder) => {
      const truth = await writeUnlabelledPictures(folder, 7, 1);
      assert.equal(truth.size, 7);
      assert.equal((await readdir(folder)).length, 10);
      for (const name of truth.keys()) {
        const { width, height } = await sharp(path.join(folder, name)).metadata();
        assert.deepEqual([width, height], [320, 240]);
      }
      assert.equal((await stat(path.join(folder, "empty.jpg"))).size, 0);
      for (const name of ["empty.jpg", "truncated.jpg", "not-a-picture.jpg"]) {
        const bytes = await readFile(path.join(folder, name));
        await assert.rejects(async () => sharp(bytes, { failOn: "truncated" }).raw().toBuffer());
      }
    });
  });
});
