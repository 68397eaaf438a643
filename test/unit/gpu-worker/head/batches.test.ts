import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SeededRandom, headRecipe, type HeadRecipe } from "@trommel/common";
import { drawBeta } from "#gpu-worker/head/batches/beta";
import { EpochBatches, type BatchMemory, type BatchSetting } from "#gpu-worker/head/batches/epoch-batches";
import { epochOrder, inputNoiseSeed } from "#gpu-worker/head/batches/epoch-order";
import { drawMixture } from "#gpu-worker/head/batches/mixup";
import { smoothedTargets } from "#gpu-worker/head/model/cross-entropy";
import { JoinedRows, type RowSet } from "#gpu-worker/head/model/row-set";
import { NoiseGenerator } from "#gpu-worker/head/noise/noise-generator";

const [featureCount, classCount, batchSize, seed, epoch] = [37, 3, 15, 9, 4];
const plain = headRecipe.parse({ type: "mlp", hidden: [4] });
const perceptron = headRecipe.parse({ type: "mlp", hidden: [4], inputDropout: 0.4 });

describe("input dropout", () => {
  it("decides about two values by the halves of each draw, at a rate in steps of 2⁻¹⁶", () => {
    for (const [count, rate, keptFrom] of [
      [1, 0.3, 19_661],
      [2048, 0.3, 19_661],
      [4999, 0.5, 32_768],
      [300, 0.999999, 65_535],
    ] as const) {
      const random = new SeededRandom(count);
      const values = Float32Array.from({ length: count }, () => random.normal());
      const dropped = values.slice();
      const generator = new NoiseGenerator(3);
      generator.dropValues(dropped, rate);
      const single = new NoiseGenerator(3);
      const draws = Array.from({ length: Math.ceil(count / 2) }, () => single.bits() >>> 0);
      const factor = Math.fround(65_536 / (65_536 - keptFrom));
      const expected = values.map((value, i) => {
        const half = Math.floor((draws[i >> 1] ?? 0) / (i % 2 === 0 ? 1 : 65_536)) % 65_536;
        return half >= keptFrom ? value * factor : 0;
      });
      assert.deepEqual(dropped, expected);
      assert.equal(generator.bits(), single.bits());
    }
  });

  it("drops inputs at its rate and keeps their mean, from (seed, epoch)", () => {
    const rows = drawRows(400);
    rows.features.fill(1);
    for (const head of [perceptron, headRecipe.parse({ type: "se", inputDropout: 0.4 })]) {
      const { features } = batchesOf(settingOf(head), rows, 30);
      // 0.4 is 26,214 steps of 2⁻¹⁶.
      const kept = Math.fround(65_536 / (65_536 - 26_214));
      assert.deepEqual(new Set(features), new Set([0, kept]));
      const share = features.reduce((sum, value) => sum + value, 0) / features.length / kept;
      assert.ok(Math.abs(share - 0.6) < 0.02, `${share}`);
    }
  });

  it("is that of a plain implementation, in any number of batches at once", () => {
    const rows = drawRows(50);
    const order = orderOf(rows);
    const expected = new Float32Array(50 * featureCount);
    for (const [at, row] of order.entries()) {
      const own = rows.features.subarray(row * featureCount, (row + 1) * featureCount);
      expected.set(own, at * featureCount);
    }
    dropInBatches(expected);
    for (const atOnce of [1, 2, 3]) {
      assert.deepEqual(batchesOf(settingOf(perceptron), rows, atOnce).features, expected);
    }
    const without = batchesOf(settingOf(plain), rows, 2);
    for (const [at, row] of order.entries()) {
      const wanted = rows.features.subarray(row * featureCount, (row + 1) * featureCount);
      assert.deepEqual(without.features.subarray(at * featureCount, (at + 1) * featureCount), wanted);
    }
  });
});

describe("mixup", () => {
  const rows = drawRows(50);
  const order = orderOf(rows);

  it("is that of a plain implementation, in any number of batches at once, with input dropout after it", () => {
    const training = { mixup: 0.4, labelSmoothing: 0.1 };
    const targets = smoothedTargets(rows.labels, classCount, 0.1);
    const expected = memoryOf(50);
    for (let step = 0; step < 4; step += 1) {
      const batch = order.subarray(step * batchSize, (step + 1) * batchSize);
      const { share, partners } = drawMixture(0.4, seed, { epoch, step, rows: batch.length });
      for (const [i, own] of batch.entries()) {
        const other = batch[partners[i] ?? -1] ?? -1;
        const mixed = (values: Float32Array, width: number, column: number) =>
          share * (values[own * width + column] ?? 9) + (1 - share) * (values[other * width + column] ?? 9);
        const at = step * batchSize + i;
        for (let j = 0; j < featureCount; j += 1)
          expected.features[at * featureCount + j] = mixed(rows.features, featureCount, j);
        for (let j = 0; j < classCount; j += 1)
          expected.targets[at * classCount + j] = mixed(targets, classCount, j);
        expected.labels[at] = rows.labels[share >= 0.5 ? own : other] ?? -1;
      }
    }
    for (const atOnce of [1, 2, 3])
      assert.deepEqual(batchesOf(settingOf(plain, training), rows, atOnce), expected);
    const { features } = batchesOf(settingOf(perceptron, training), rows, 2);
    dropInBatches(expected.features);
    assert.deepEqual(features, expected.features);
  });

  it("keeps a batch's sum of features and targets, and every target a distribution", () => {
    const sums = (values: Float32Array, width: number, first: number, count: number) =>
      Array.from({ length: width }, (_, column) => {
        return Array.from({ length: count }, (_, i) => values[(first + i) * width + column] ?? 9).reduce(
          (sum, value) => sum + value,
        );
      });
    const [without, mixed] = [0, 0.8].map((mixup) => batchesOf(settingOf(plain, { mixup }), rows, 3));
    assert.ok(without !== undefined && mixed !== undefined);
    assert.notDeepEqual(mixed.features, without.features);
    for (let first = 0; first < 50; first += batchSize) {
      const count = Math.min(batchSize, 50 - first);
      for (const [name, width] of [
        ["features", featureCount],
        ["targets", classCount],
      ] as const) {
        const wanted = sums(without[name], width, first, count);
        for (const [i, sum] of sums(mixed[name], width, first, count).entries())
          assert.ok(Math.abs(sum - (wanted[i] ?? 9)) < 1e-4);
      }
    }
    for (let row = 0; row < 50; row += 1) {
      const target: Float32Array = mixed.targets.subarray(row * classCount, (row + 1) * classCount);
      assert.ok(Math.abs(target.reduce((sum, value) => sum + value, 0) - 1) < 1e-6);
      assert.equal(mixed.labels[row], target.indexOf(Math.max(...target)));
    }
  });

  it("draws other shares and permutations for another step, epoch or seed", () => {
    const at = { epoch: 2, step: 3, rows: 20 };
    const one = drawMixture(0.4, 1, at);
    assert.deepEqual(drawMixture(0.4, 1, at), one);
    assert.deepEqual(
      one.partners.toSorted(),
      Int32Array.from({ length: 20 }, (_, i) => i),
    );
    for (const other of [
      drawMixture(0.4, 2, at),
      drawMixture(0.4, 1, { ...at, epoch: 3 }),
      drawMixture(0.4, 1, { ...at, step: 4 }),
    ]) {
      assert.notEqual(other.share, one.share);
      assert.notDeepEqual(other.partners, one.partners);
    }
  });
});

describe("Beta distribution", () => {
  for (const [alpha, beta] of [
    [0.02, 0.02],
    [0.4, 0.4],
    [1, 1],
    [7, 7],
    [0.5, 3],
    [2, 5],
  ] as const) {
    it(`has the moments of Beta(${alpha}, ${beta})`, () => {
      const count = 40_000;
      const random = new SeededRandom(6);
      const drawn = Array.from({ length: count }, () => drawBeta(random, alpha, beta));
      // E x^k is the product of (alpha + i) / (alpha + beta + i) over i < k.
      const rawMoment = (power: number): number =>
        Array.from({ length: power }, (_, i) => (alpha + i) / (alpha + beta + i)).reduce((a, b) => a * b);
      for (const power of [1, 2, 3, 4]) {
        const found = drawn.reduce((sum, x) => sum + x ** power, 0) / count;
        const deviation = Math.sqrt(rawMoment(2 * power) - rawMoment(power) ** 2);
        assert.ok(Math.abs(found - rawMoment(power)) < (5 * deviation) / Math.sqrt(count), `moment ${power}`);
      }
    });
  }

  it("is uniform at (1, 1) and the arcsine distribution at (1/2, 1/2)", () => {
    for (const [parameter, below] of [
      [1, (x: number) => x],
      [0.5, (x: number) => (2 / Math.PI) * Math.asin(Math.sqrt(x))],
    ] as const) {
      const random = new SeededRandom(8);
      const drawn = Array.from({ length: 40_000 }, () => drawBeta(random, parameter, parameter));
      for (const x of [0.01, 0.2, 0.5, 0.9]) {
        const share = drawn.filter((value) => value < x).length / drawn.length;
        const deviation = Math.sqrt((below(x) * (1 - below(x))) / drawn.length);
        assert.ok(Math.abs(share - below(x)) < 5 * deviation, `${share} below ${x}`);
      }
    }
  });
});

/** Input dropout at 0.4, batch by batch; these have an odd number of values. */
function dropInBatches(features: Float32Array): void {
  const noise = new NoiseGenerator(inputNoiseSeed(seed, epoch));
  const length = batchSize * featureCount;
  for (let start = 0; start < features.length; start += length)
    noise.dropValues(features.subarray(start, start + length), 0.4);
}

function orderOf(rows: RowSet): Int32Array {
  return epochOrder("natural", seed, { rows: new JoinedRows([rows], featureCount), epoch });
}

function settingOf(head: HeadRecipe, training: Partial<BatchSetting["training"]> = {}): BatchSetting {
  const defaults = { batchSize, labelSmoothing: 0, mixup: 0, sampling: "natural" } as const;
  return { head, training: { ...defaults, ...training }, featureCount, classCount, seed };
}

/** An epoch's rows, taken in this many batches at once; the last one, which is smaller, alone. */
function batchesOf(setting: BatchSetting, rows: RowSet, atOnce: number): BatchMemory {
  const batches = new EpochBatches(setting, new JoinedRows([rows], featureCount), epoch);
  const whole = memoryOf(batches.rowsLeft);
  let at = 0;
  while (batches.rowsLeft > 0) {
    const steps = Math.min(atOnce, Math.floor(batches.rowsLeft / batches.rowsOfNext));
    const size = steps * batches.rowsOfNext;
    const batch = memoryOf(size);
    batches.take(steps, batch);
    whole.features.set(batch.features, at * featureCount);
    whole.labels.set(batch.labels, at);
    whole.targets.set(batch.targets, at * classCount);
    at += size;
  }
  assert.equal(at, whole.labels.length);
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
