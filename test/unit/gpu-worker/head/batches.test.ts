import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SeededRandom, headRecipe, type HeadRecipe } from "@trommel/common";
import { EpochBatches, type BatchMemory, type BatchSetting } from "#gpu-worker/head/batches/epoch-batches";
import { epochOrder, inputNoiseSeed } from "#gpu-worker/head/batches/epoch-order";
import { JoinedRows, type RowSet } from "#gpu-worker/head/model/row-set";
import { NoiseGenerator } from "#gpu-worker/head/noise/noise-generator";

const [featureCount, classCount, seed, epoch] = [37, 3, 9, 4];
const perceptron = headRecipe.parse({ type: "mlp", hidden: [4], inputDropout: 0.4 });

describe("input dropout", () => {
  it("multiplies by the factors that a mask would hold, however long the values", () => {
    for (const count of [1, 2047, 2048, 5000]) {
      const random = new SeededRandom(count);
      const values = Float32Array.from({ length: count }, () => random.normal());
      const mask = new Float32Array(count);
      new NoiseGenerator(3).fillMask(mask, 0.3);
      const masked = values.slice();
      new NoiseGenerator(3).applyMask(masked, 0.3);
      // A product with 0 may be -0, which deepEqual tells from 0.
      assert.deepEqual(
        masked,
        Float32Array.from(values, (value, i) => value * (mask[i] ?? 9)),
      );
    }
  });

  it("drops inputs at its rate and keeps their mean, from (seed, epoch)", () => {
    const rows = drawRows(400);
    rows.features.fill(1);
    for (const head of [perceptron, headRecipe.parse({ type: "se", inputDropout: 0.4 })]) {
      const { features } = batchesOf(settingOf(head), rows, [400]);
      const kept = Math.fround(1 / 0.6);
      assert.deepEqual(new Set(features), new Set([0, kept]));
      const share = features.reduce((sum, value) => sum + value, 0) / features.length / kept;
      assert.ok(Math.abs(share - 0.6) < 0.02, `${share}`);
    }
  });

  it("is that of a plain implementation, in batches of any size", () => {
    const rows = drawRows(50);
    const order = epochOrder(seed, epoch, 50);
    const mask = new Float32Array(50 * featureCount);
    new NoiseGenerator(inputNoiseSeed(seed, epoch)).fillMask(mask, 0.4);
    const expected = mask.map((factor, i) => {
      const row = order[Math.floor(i / featureCount)] ?? 0;
      return factor * (rows.features[row * featureCount + (i % featureCount)] ?? 9);
    });
    for (const sizes of [[50], [16, 16, 16, 2], [32, 18]]) {
      assert.deepEqual(batchesOf(settingOf(perceptron), rows, sizes).features, expected);
    }
    const plain = { ...perceptron, inputDropout: 0 };
    const without = batchesOf(settingOf(plain), rows, [50]);
    for (const [at, row] of order.entries()) {
      const wanted = rows.features.subarray(row * featureCount, (row + 1) * featureCount);
      assert.deepEqual(without.features.subarray(at * featureCount, (at + 1) * featureCount), wanted);
    }
  });
});

function settingOf(head: HeadRecipe): BatchSetting {
  return { head, training: { batchSize: 16, labelSmoothing: 0 }, featureCount, classCount, seed };
}

/** An epoch's rows, taken in batches of these sizes. */
function batchesOf(setting: BatchSetting, rows: RowSet, sizes: readonly number[]): BatchMemory {
  const batches = new EpochBatches(setting, new JoinedRows([rows], featureCount), epoch);
  const count = sizes.reduce((sum, size) => sum + size, 0);
  const whole = memoryOf(count);
  let at = 0;
  for (const size of sizes) {
    const batch = memoryOf(size);
    batches.take(size, batch);
    whole.features.set(batch.features, at * featureCount);
    whole.labels.set(batch.labels, at);
    whole.targets.set(batch.targets, at * classCount);
    at += size;
  }
  assert.equal(batches.rowsLeft, 0);
  return whole;
}

function memoryOf(count: number): BatchMemory {
  return {
    features: new Float32Array(count * featureCount),
    labels: new Int32Array(count),
    targets: new Float32Array(count * classCount),
  };
}

function drawRows(count: number): RowSet {
  const random = new SeededRandom(2);
  const labels = Int32Array.from({ length: count }, () => random.integer(classCount));
  return { features: Float32Array.from({ length: count * featureCount }, () => random.normal()), labels };
}
