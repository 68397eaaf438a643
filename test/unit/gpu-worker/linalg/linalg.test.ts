import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, describe, it } from "node:test";
import { SeededRandom, TrommelError, type Gram, type Projection } from "@trommel/common";
import { GramAccumulator, mergeGrams } from "#gpu-worker/linalg/gram/gram";
import { solveProjection } from "#gpu-worker/linalg/gram-to-projection";
import { MatrixProduct } from "#gpu-worker/linalg/matrix-product";
import { RowProjector } from "#gpu-worker/linalg/project-rows";

interface SvdGolden {
  readonly rows: number;
  readonly dimension: number;
  readonly step: number;
  readonly cases: readonly {
    readonly centre: boolean;
    readonly energy: number;
    readonly components: number;
    readonly singularValues: readonly number[];
    readonly energyKept: number;
    readonly scale: number;
    readonly mean: readonly number[];
  }[];
}

const goldenFolder = new URL("../../../../golden/", import.meta.url);
const product = new MatrixProduct({ threads: 1 });
after(() => product.release());

describe("matrix product", () => {
  it("multiplies in each transposed form as three loops do", async () => {
    const random = new SeededRandom(3);
    for (const [transposeA, transposeB] of [
      [false, false],
      [true, false],
      [false, true],
      [true, true],
    ] as const) {
      const a = normals(random, transposeA ? [4, 3] : [3, 4]);
      const b = normals(random, transposeB ? [5, 4] : [4, 5]);
      const result = await product.multiply(a, b, { transposeA, transposeB });
      assert.deepEqual([result.rows, result.columns], [3, 5]);
      for (let i = 0; i < 3; i += 1) {
        for (let j = 0; j < 5; j += 1) {
          let sum = 0;
          for (let k = 0; k < 4; k += 1) {
            sum +=
              at(a.data, transposeA ? k * 3 + i : i * 4 + k) * at(b.data, transposeB ? j * 4 + k : k * 5 + j);
          }
          close(at(result.data, i * 5 + j), sum, 1e-14);
        }
      }
    }
  });

  it("adds a product to what stands, exactly, of rows in one piece and in several", async () => {
    for (const rows of [5, 1535, 1536, 3000]) {
      // Small whole numbers, so that every order of additions gives the same.
      const whole = (length: number, by: number) =>
        Float32Array.from({ length }, (_, i) => ((i * by) % 7) - 3);
      const a = { rows, columns: 3, data: whole(rows * 3, 5) };
      const b = { rows: 5, columns: 3, data: whole(15, 3) };
      const sum = Float64Array.from({ length: rows * 5 }, (_, i) => i);
      const expected = sum.map((value, at) => {
        const [i, j] = [Math.floor(at / 5) * 3, (at % 5) * 3];
        return [0, 1, 2].reduce((total, k) => total + (a.data[i + k] ?? 0) * (b.data[j + k] ?? 0), value);
      });
      await product.addProduct(sum, a, b);
      assert.deepEqual(sum, expected, `${rows} rows`);
    }
  });

  it("refuses shapes that do not fit, and a thread count that is none", async () => {
    const a = normals(new SeededRandom(1), [3, 4]);
    await assert.rejects(product.multiply(a, a), isError("internal"));
    const [tall, wide] = [1600, 600].map((rows) => ({ rows, columns: 1, data: new Float32Array(rows) }));
    const sum = new Float64Array(1600 * 600);
    await assert.rejects(product.addProduct(sum, tall!, wide!), isError("internal"));
    assert.throws(() => new MatrixProduct({ threads: 0 }), isError("invalid-argument"));
  });
});

describe("gram", () => {
  it("sums the products and columns of the rows, exactly symmetric", async () => {
    const rows = Float32Array.of(1, 2, 3, 4, 5, 6);
    const gram = await gramOf(rows, 2, 3);
    assert.deepEqual([...gram.products], [17, 22, 27, 22, 29, 36, 27, 36, 45]);
    assert.deepEqual([...gram.columnSum], [5, 7, 9]);
    assert.equal(gram.rowCount, 2);
    const large = await gramOf(decayingRows(500, 130, 5), 500, 130);
    for (let i = 0; i < 130; i += 1) {
      for (let j = 0; j < i; j += 1)
        assert.equal(at(large.products, i * 130 + j), at(large.products, j * 130 + i));
    }
  });

  it("gives the same bytes whatever the number of threads", async () => {
    const rows = decayingRows(1500, 333, 8);
    const alone = await gramOf(rows, 1500, 333);
    for (const threads of [2, 3, 5]) {
      const threaded = new MatrixProduct({ threads });
      const gram = await gramOf(rows, 1500, 333, threaded);
      await threaded.release();
      assert.ok(
        Buffer.from(gram.products.buffer).equals(Buffer.from(alone.products.buffer)),
        `${threads} threads`,
      );
    }
  });

  it("merges the grams of parts into the gram of the whole", async () => {
    const [count, dimension] = [700, 40];
    const rows = decayingRows(count, dimension, 2);
    const whole = await gramOf(rows, count, dimension);
    const parts = [0, 1, 2, 3, 4, 5, 6].map((i) =>
      rows.subarray(i * 100 * dimension, (i + 1) * 100 * dimension),
    );
    const grams = await Promise.all(parts.map((part) => gramOf(part, 100, dimension)));
    const merged = grams.reduce(mergeGrams);
    assert.equal(merged.rowCount, count);
    for (let i = 0; i < whole.products.length; i += 1) {
      close(at(merged.products, i), at(whole.products, i), 1e-9 * Math.abs(at(whole.products, 0)));
    }
    assert.throws(() => mergeGrams(whole, { ...whole, dimension: 41 }), isError("internal"));
  });
});

describe("projection", () => {
  it("agrees with numpy's SVD, uncentred and centred", async () => {
    const golden = JSON.parse(readFileSync(new URL("svd.json", goldenFolder), "utf8")) as SvdGolden;
    const bytes = readFileSync(new URL("svd.bin", goldenFolder));
    const { dimension } = golden;
    let offset = golden.rows * dimension * 4;
    const rows = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + offset));
    const gram = await gramOf(rows, golden.rows, dimension);
    for (const expected of golden.cases) {
      const length = dimension * expected.components * 8;
      const start = bytes.byteOffset + offset;
      const basis = new Float64Array(bytes.buffer.slice(start, start + length));
      offset += length;
      const recipe = { energy: expected.energy, step: golden.step, centre: expected.centre };
      const projection = await solveProjection(gram, recipe, { seed: 1, product });
      assert.equal(projection.components, expected.components);
      close(projection.energyKept, expected.energyKept, 1e-9);
      close(projection.scale, expected.scale, 1e-9);
      for (const [i, value] of expected.singularValues.entries()) {
        close(at(projection.singularValues, i), value, 1e-7 * value);
      }
      for (const [i, value] of expected.mean.entries()) close(at(projection.mean, i), value, 1e-6);
      for (const [i, value] of basis.entries()) close(at(projection.basis, i), value, 1e-4);
    }
    assert.equal(offset, bytes.length);
  });

  it("finds by iteration what the whole decomposition finds, the same bytes whatever the number of threads", async () => {
    const [count, dimension] = [2000, 600];
    const gram = await gramOf(decayingRows(count, dimension, 11, 0.98), count, dimension);
    for (const centre of [false, true]) {
      const recipe = { energy: 0.98, step: 20, centre };
      const iterated = await solveProjection(gram, recipe, { seed: 5, product });
      const dense = await solveProjection(gram, recipe, { seed: 5, product, denseDimension: 1000 });
      assert.notDeepEqual(
        iterated,
        dense,
        "the last bits tell that the iteration ran and not the whole decomposition",
      );
      assert.equal(iterated.components, dense.components);
      close(iterated.energyKept, dense.energyKept, 1e-9);
      for (let i = 0; i < dense.components; i += 1) {
        close(
          at(iterated.singularValues, i),
          at(dense.singularValues, i),
          1e-8 * at(dense.singularValues, 0),
        );
      }
      assert.ok(largestAngle(iterated, dense) < 1e-4);
      for (const threads of [1, 2, 3]) {
        const threaded = new MatrixProduct({ threads });
        assert.deepEqual(await solveProjection(gram, recipe, { seed: 5, product: threaded }), iterated);
        await threaded.release();
      }
    }
  });

  it("gives rows whose mean square norm is one, and the kept energy", async () => {
    const [count, dimension] = [400, 90];
    const rows = decayingRows(count, dimension, 4);
    const gram = await gramOf(rows, count, dimension);
    for (const centre of [false, true]) {
      const projection = await solveProjection(gram, { energy: 0.8, step: 5, centre }, { seed: 0, product });
      const projector = await RowProjector.create(projection, { threads: 1 });
      const z = await projector.project(rows, count);
      await projector.release();
      assert.equal(z.length, count * projection.components);
      close(squares(z) / count, 1, 1e-5);
      const centredRows = rows.map((value, i) => value - at(projection.mean, i % dimension));
      close(squares(z) / projection.scale ** 2 / squares(centredRows), projection.energyKept, 1e-5);
    }
  });

  it("keeps more energy and more components the more is asked for, and everything at one", async () => {
    const gram = await gramOf(decayingRows(300, 50, 9), 300, 50);
    let before: Projection | undefined;
    for (const energy of [0.2, 0.5, 0.7, 0.9, 0.99, 1]) {
      const projection = await solveProjection(
        gram,
        { energy, step: 7, centre: false },
        { seed: 0, product },
      );
      assert.ok(projection.energyKept >= energy - 1e-9);
      assert.ok(projection.components % 7 === 0 || projection.components === 50);
      assert.ok(projection.components >= (before?.components ?? 0));
      before = projection;
    }
    assert.equal(before?.components, 50);
  });

  it("stops at the numerical rank where images are few", async () => {
    for (const [count, dimension] of [
      [12, 40],
      [60, 700],
    ] as const) {
      const rows = normals32(new SeededRandom(21), count * dimension);
      const gram = await gramOf(rows, count, dimension);
      const uncentred = await solveProjection(
        gram,
        { energy: 0.9, step: 100, centre: false },
        { seed: 0, product },
      );
      assert.equal(uncentred.components, count);
      close(uncentred.energyKept, 1, 1e-12);
      const centred = await solveProjection(
        gram,
        { energy: 0.9, step: 100, centre: true },
        { seed: 0, product },
      );
      assert.equal(centred.components, count - 1);
    }
  });

  it("refuses no rows, equal rows and rows that are not finite", async () => {
    const recipe = { energy: 0.9, step: 100, centre: true };
    const solve = (gram: Gram) => solveProjection(gram, recipe, { seed: 0, product });
    await assert.rejects(solve(await gramOf(new Float32Array(), 0, 3)), isError("bad-dataset"));
    const equal = await gramOf(Float32Array.of(1, 2, 3, 1, 2, 3), 2, 3);
    await assert.rejects(solve(equal), isError("bad-dataset"));
    const broken = await gramOf(Float32Array.of(1, Number.NaN, 3, 1, 2, 3), 2, 3);
    await assert.rejects(solve(broken), isError("corrupt"));
  });
});

async function gramOf(rows: Float32Array, count: number, dimension: number, by = product): Promise<Gram> {
  const accumulator = new GramAccumulator(dimension, by);
  await accumulator.add(rows, count);
  return accumulator.result();
}

function normals(random: SeededRandom, [rows, columns]: readonly [number, number]) {
  return { rows, columns, data: Float64Array.from({ length: rows * columns }, () => random.normal()) };
}

function normals32(random: SeededRandom, length: number): Float32Array {
  return Float32Array.from({ length }, () => random.normal());
}

/** Rows with a large mean and a spectrum like that of embeddings: neighbouring columns correlate, deviations decay. */
function decayingRows(count: number, dimension: number, seed: number, decay = 1): Float32Array {
  const random = new SeededRandom(seed);
  const rows = new Float32Array(count * dimension);
  for (let i = 0; i < count; i += 1) {
    let previous = 0;
    for (let j = 0; j < dimension; j += 1) {
      previous = 0.8 * previous + random.normal();
      rows[i * dimension + j] = 1 + (previous * 3 * decay ** j) / Math.sqrt(1 + j);
    }
  }
  return rows;
}

/** Sine of the largest principal angle between the columns' spans, by ‖B − A·AᵀB‖ over unit columns: an upper bound. */
function largestAngle(a: Projection, b: Projection): number {
  const [dimension, k] = [a.dimension, a.components];
  let worst = 0;
  for (let column = 0; column < k; column += 1) {
    const rest = Float64Array.from({ length: dimension }, (_, i) => at(b.basis, i * k + column));
    for (let other = 0; other < k; other += 1) {
      let overlap = 0;
      for (let i = 0; i < dimension; i += 1)
        overlap += at(a.basis, i * k + other) * at(b.basis, i * k + column);
      for (let i = 0; i < dimension; i += 1) rest[i] = at(rest, i) - overlap * at(a.basis, i * k + other);
    }
    worst += squares(rest);
  }
  return Math.sqrt(worst);
}

function squares(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i += 1) sum += at(values, i) ** 2;
  return sum;
}

function at(values: ArrayLike<number>, index: number): number {
  const value = values[index];
  assert.ok(value !== undefined, `no value at ${index}`);
  return value;
}

function close(actual: number, expected: number, tolerance: number): void {
  // Called a million times: the message is made for a failure alone.
  if (!(Math.abs(actual - expected) <= tolerance))
    assert.fail(`${actual} is not within ${tolerance} of ${expected}`);
}

function isError(code: string) {
  return (thrown: unknown) => thrown instanceof TrommelError && thrown.code === code;
}
