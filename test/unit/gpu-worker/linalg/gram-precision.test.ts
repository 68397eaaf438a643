import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { SeededRandom, decodeGram, type Gram } from "@trommel/common";
import { encodeGram } from "#common/artefacts/results/projection-codec";
import { GramAccumulator, mergeGrams } from "#gpu-worker/linalg/gram/gram";
import type { GramPrecision } from "#gpu-worker/linalg/gram/gram-chunk";
import { gramPrecision } from "#gpu-worker/linalg/gram/gram-precision";
import { isSettled, solveProjection } from "#gpu-worker/linalg/gram-to-projection";
import { MatrixProduct } from "#gpu-worker/linalg/matrix-product";

const product = new MatrixProduct({ threads: 1 });
after(() => product.release());

describe("float32 products of a Gram matrix", () => {
  it("are exact where float32 holds them", async () => {
    const [count, dimension] = [2200, 300];
    const random = new SeededRandom(1);
    // Row after row what is below and what is above the column's mean by as much, in small whole numbers.
    const rows = new Float32Array(count * dimension);
    for (let i = 0; i < count; i += 2) {
      for (let j = 0; j < dimension; j += 1) {
        const off = Math.floor(random.uniform(-8, 9));
        rows[i * dimension + j] = (j % 50) * 4 + off;
        rows[(i + 1) * dimension + j] = (j % 50) * 4 - off;
      }
    }
    const gram = await gramOf(rows, dimension, "float32");
    assert.deepEqual(gram.products, plainGram(rows, dimension));
    assert.equal(gram.rowCount, count);
    assert.equal(gram.columnSum[7], 7 * 4 * count);
  });

  for (const [name, mean, scaleOf] of [
    ["of rows like embeddings", 0.5, (j: number) => 1 / (1 + j)],
    ["of a mean a thousand times the deviation", 1000, () => 1],
    ["of columns from 1e-9 to 1", 0.1, (j: number) => 10 ** (-j / 20)],
    ["of columns that are all alike", 2, () => 0],
  ] as const) {
    it(`leave less than they say, and no more for the mean: ${name}`, async () => {
      const [count, dimension] = [3000, 180];
      const random = new SeededRandom(5);
      const rows = new Float32Array(count * dimension);
      for (let i = 0; i < count; i += 1) {
        const shared = random.normal();
        for (let j = 0; j < dimension; j += 1) {
          rows[i * dimension + j] = mean + shared + scaleOf(j) * random.normal();
        }
      }
      const gram = await gramOf(rows, dimension, "float32");
      const exact = plainGram(rows, dimension);
      // The Frobenius norm is at least the spectral one. Float64 itself rounds the mean's part in the sixteenth digit.
      const off = Math.hypot(...gram.products.map((value, i) => value - (exact[i] ?? Number.NaN)));
      const roundingError = gram.roundingError ?? Number.NaN;
      assert.ok(off < roundingError + 1e-15 * trace(exact), `${off} is off, ${roundingError} was said`);
      let variation = 0;
      for (let j = 0; j < dimension; j += 1) {
        variation += (exact[j * dimension + j] ?? 0) - (gram.columnSum[j] ?? 0) ** 2 / count;
      }
      assert.ok(roundingError < 3e-7 * variation, `${roundingError} of ${variation}`);
      for (let i = 0; i < dimension; i += 1) {
        for (let j = 0; j < i; j += 1) {
          assert.equal(gram.products[i * dimension + j], gram.products[j * dimension + i]);
        }
      }
    });
  }

  it("give the same bytes whatever the number of threads", async () => {
    // The last panel of the second has as few rows as any.
    for (const [dimension, rowCount, counts] of [
      [333, 1500, [2, 3, 5]],
      [384, 1500, [2, 80]],
      // Its first panels are as tall as products that are made in pieces.
      [1700, 200, [2, 5]],
    ] as const) {
      const rows = normals(rowCount * dimension, 8);
      const alone = await gramOf(rows, dimension, "float32");
      for (const threads of counts) {
        const threaded = new MatrixProduct({ threads });
        assert.deepEqual(await gramOf(rows, dimension, "float32", threaded), alone);
        await threaded.release();
      }
    }
  });

  it("are not made of rows that are not finite, whichever value is not", async () => {
    const rows = normals(6 * 130, 4);
    for (const at of [0, 400, rows.length - 1]) {
      const spoilt = rows.slice();
      spoilt[at] = Number.NaN;
      assert.equal((await gramOf(spoilt, 130, "float32")).roundingError, undefined);
    }
  });

  it("are not made of what would overflow float32 or vanish in it", async () => {
    const dimension = 20;
    for (const size of [1e25, 1e-30]) {
      const rows = normals(100 * dimension, 3).map((value) => value * size);
      const gram = await gramOf(rows, dimension, "float32");
      assert.deepEqual(gram, await gramOf(rows, dimension, "float64"));
      assert.equal(gram.roundingError, undefined);
    }
  });

  it("have their rounding error added up by a merge, and kept by the artefact", async () => {
    const dimension = 30;
    const [a, b] = [
      await gramOf(normals(90 * dimension, 1), dimension, "float32"),
      await gramOf(normals(90 * dimension, 2), dimension, "float32"),
    ];
    const exact = await gramOf(normals(90 * dimension, 2), dimension, "float64");
    assert.equal(mergeGrams(a, b).roundingError, (a.roundingError ?? 0) + (b.roundingError ?? 0));
    assert.equal(mergeGrams(a, exact).roundingError, a.roundingError);
    assert.equal(mergeGrams(exact, exact).roundingError, undefined);
    for (const gram of [a, exact]) assert.deepEqual(decodeGram(encodeGram(gram), "g"), gram);
    const wrong = encodeGram({ ...a, roundingError: -1 });
    assert.throws(() => decodeGram(wrong, "g"), { code: "corrupt" });
  });
});

describe("the precision of a Gram matrix", () => {
  it("is float64 for few rows, and for an energy that asks for the smallest eigenvalues", () => {
    const svd = { energy: 0.9, step: 100, centre: false };
    const of = (rows: number, dimension: number, energy: number) =>
      gramPrecision({ rows, dimension, svd: { ...svd, energy } });
    assert.equal(of(1791, 1792, 0.9), "float64");
    assert.equal(of(1792, 1792, 0.9), "float32");
    assert.equal(of(20_000, 4736, 0.99), "float32");
    assert.equal(of(20_000, 4736, 0.9999), "float64");
    assert.equal(of(20_000, 128, 0.999), "float32");
    assert.equal(of(20_000, 128, 1), "float64");
    assert.equal(of(20_000, 127, 0.9), "float64");
  });

  const [count, dimension] = [2000, 100];
  const settled = async (rows: Float32Array, precision: GramPrecision, centre: boolean) => {
    const gram = await gramOf(rows, dimension, precision);
    const recipe = { energy: 0.9, step: 20, centre };
    const projection = await solveProjection(gram, recipe, { seed: 1, product });
    return isSettled(projection, gram, recipe);
  };

  it("is enough for rows that differ, however little beside their mean", async () => {
    for (const mean of [0, 1, 1000]) {
      const rows = normals(count * dimension, 2).map((value, i) => mean + value / (1 + (i % dimension)));
      assert.equal(await settled(rows, "float32", false), true);
      assert.equal(await settled(rows, "float32", true), true);
    }
  });

  it("is not enough, unless float64, where rows or what they tell are few", async () => {
    const few = normals(7 * dimension, 4);
    const hard: Readonly<Record<string, (i: number) => number>> = {
      "seven rows again and again": (i) => few[i % few.length] ?? 0,
      "classes that leave everything else no weight": (i) =>
        (few[(Math.floor(i / dimension / 300) * dimension + (i % dimension)) % few.length] ?? 0) +
        1e-4 * Math.sin(i * i),
    };
    for (const [name, value] of Object.entries(hard)) {
      const rows = Float32Array.from({ length: count * dimension }, (_, i) => value(i));
      for (const centre of [false, true]) {
        assert.equal(await settled(rows, "float32", centre), false, name);
        assert.equal(await settled(rows, "float64", centre), true, name);
      }
    }
  });
});

async function gramOf(
  rows: Float32Array,
  dimension: number,
  precision: GramPrecision,
  by = product,
): Promise<Gram> {
  const accumulator = new GramAccumulator(dimension, by, precision);
  await accumulator.add(rows, rows.length / dimension);
  return accumulator.result();
}

/** By three loops, in float64. */
function plainGram(rows: Float32Array, dimension: number): Float64Array {
  const products = new Float64Array(dimension * dimension);
  for (let start = 0; start < rows.length; start += dimension) {
    const row = rows.subarray(start, start + dimension);
    for (const [i, x] of row.entries()) {
      const at = i * dimension;
      for (let j = 0; j < dimension; j += 1) products[at + j] = (products[at + j] ?? 0) + x * (row[j] ?? 0);
    }
  }
  return products;
}

function trace(matrix: Float64Array): number {
  const dimension = Math.sqrt(matrix.length);
  return matrix.reduce((sum, value, i) => sum + (i % (dimension + 1) === 0 ? value : 0), 0);
}

function normals(length: number, seed: number): Float32Array {
  const random = new SeededRandom(seed);
  return Float32Array.from({ length }, () => random.normal());
}
