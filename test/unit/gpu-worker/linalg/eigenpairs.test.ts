import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { SeededRandom, type Gram } from "@trommel/common";
import { denseEigenpairs, type Eigenpairs } from "#gpu-worker/linalg/eigen/dense-eigenpairs";
import { solveProjection } from "#gpu-worker/linalg/gram-to-projection";
import { MatrixProduct, type Matrix64 } from "#gpu-worker/linalg/matrix-product";

const product = new MatrixProduct({ threads: 1 });
after(() => product.release());
const all = (values: Float64Array) => values.length;

/** Matrices on which one step or another of a divide and conquer has nothing to do, or very little room. */
const matrices: Readonly<Record<string, () => Matrix64>> = {
  "one by one": () => symmetric(1, () => -3),
  "two by two": () => symmetric(2, (i, j) => i + j),
  "the largest leaf": () => normals(32, 1),
  "the smallest that is divided": () => normals(33, 2),
  "one more than a panel and a half": () => normals(97, 3),
  "normal entries": () => normals(260, 4),
  zero: () => symmetric(70, () => 0),
  "the identity": () => symmetric(100, (i, j) => Number(i === j)),
  "all ones, of rank one": () => symmetric(130, () => 1),
  "a diagonal": () => symmetric(90, (i, j) => (i === j ? (i * 37) % 90 : 0)),
  "three eigenvalues, each many times": () => reflected(150, (i) => [1, 2, 5][i % 3] ?? 0),
  "Wilkinson's, with pairs that agree to rounding": () =>
    symmetric(121, (i, j) => (i === j ? Math.abs(i - 60) : Number(Math.abs(i - j) === 1))),
  "Wilkinson's, glued by next to nothing": () =>
    symmetric(210, (i, j) => {
      if (i === j) return Math.abs((i % 21) - 10);
      return Math.abs(i - j) === 1 ? (Math.max(i, j) % 21 === 0 ? 1e-10 : 1) : 0;
    }),
  "entries over thirty orders of magnitude": () => {
    const { rows, columns, data } = normals(120, 5);
    return { rows, columns, data: data.map((x, at) => x * 10 ** (-((at % 120) + Math.floor(at / 120)) / 8)) };
  },
  "blocks that do not touch": () => {
    const { data } = normals(140, 6);
    return symmetric(140, (i, j) => (i < 70 === j < 70 ? (data[i * 140 + j] ?? 0) : 0));
  },
};

describe("dense eigenpairs", () => {
  for (const [name, make] of Object.entries(matrices)) {
    it(`are orthonormal, descending, and those of the matrix: ${name}`, async () => {
      const matrix = make();
      const pairs = await denseEigenpairs(matrix, all, product);
      assert.equal(pairs.values.length, matrix.rows);
      await assertEigenpairs(matrix, pairs);
    });
  }

  it("have the eigenvalues that are known in closed form", async () => {
    const size = 301;
    const second = symmetric(size, (i, j) => (i === j ? 2 : -Number(Math.abs(i - j) === 1)));
    const { values } = await denseEigenpairs(second, all, product);
    for (const [i, value] of values.entries()) {
      close(value, 2 + 2 * Math.cos((Math.PI * (i + 1)) / (size + 1)), 1e-13);
    }
  });

  it("are as many as asked for, the same ones, the same bytes whatever the number of threads", async () => {
    const matrix = normals(300, 10);
    const whole = await denseEigenpairs(matrix, all, product);
    for (const threads of [1, 2, 3]) {
      const threaded = new MatrixProduct({ threads });
      const some = await denseEigenpairs(matrix, () => 40, threaded);
      await threaded.release();
      assert.deepEqual(some.values, whole.values.slice(0, 40));
      for (const [i, x] of some.vectors.data.entries()) close(x, whole.vectors.data[i] ?? Number.NaN, 1e-11);
      const again = await denseEigenpairs(matrix, () => 40, product);
      assert.deepEqual(again, some);
    }
  });
});

describe("projection of a Gram matrix whose eigenvectors are known", () => {
  const dimension = 640;
  const decaying = (i: number) => (i === 0 ? 1000 : 30 / (i + 1) ** 1.2);
  const cases = [
    { name: "by iteration", spectrum: decaying, energy: 0.95 },
    { name: "where most of the dimension is wanted", spectrum: decaying, energy: 0.999 },
    {
      name: "with an eigenvalue many times",
      spectrum: (i: number) => (i < 40 ? 8 : 2 * 0.97 ** i),
      energy: 0.75,
    },
    { name: "of small rank", spectrum: (i: number) => (i < 50 ? 53 - i : 0), energy: 0.9999 },
    { name: "of small rank, all of it", spectrum: (i: number) => (i < 55 ? 3 : 0), energy: 1 },
    { name: "with every component", spectrum: (i: number) => 1 + 1 / (1 + i), energy: 1 },
  ];
  for (const { name, spectrum, energy } of cases) {
    it(`spans them: ${name}`, async () => {
      const step = 20;
      const eigenvalues = Array.from({ length: dimension }, (_, i) => spectrum(i));
      const total = eigenvalues.reduce((sum, value) => sum + value, 0);
      const rank = eigenvalues.filter((value) => value > 0).length;
      let [components, kept] = [0, 0];
      while (components < rank && (components % step !== 0 || kept < energy * total * (1 - 1e-12))) {
        kept += eigenvalues[components] ?? 0;
        components += 1;
      }
      const gram = { ...asGram(reflected(dimension, spectrum)), rowCount: 1000 };
      const projection = await solveProjection(gram, { energy, step, centre: false }, { seed: 4, product });
      assert.equal(projection.components, components);
      close(projection.energyKept, Math.min(1, kept / total), 1e-10);
      for (const [i, value] of projection.singularValues.entries()) {
        close(value, Math.sqrt(eigenvalues[i] ?? 0), 1e-7);
      }
      // What a basis vector has outside the span of the leading eigenvectors, in the coordinates of all of them.
      let outside = 0;
      for (let k = 0; k < components; k += 1) {
        const vector = Float64Array.from(
          { length: dimension },
          (_, i) => projection.basis[i * components + k] ?? 0,
        );
        reflect(vector);
        for (const x of vector.subarray(components)) outside += x * x;
      }
      assert.ok(Math.sqrt(outside) < 1e-4, `${Math.sqrt(outside)} lies outside`);
    });
  }

  it("refuses a matrix of nothing but zeros", async () => {
    const gram = { ...asGram(symmetric(600, () => 0)), rowCount: 9 };
    const recipe = { energy: 0.9, step: 100, centre: false };
    await assert.rejects(solveProjection(gram, recipe, { seed: 1, product }), { code: "bad-dataset" });
  });

  it("leaves columns that are zero out of every component", async () => {
    const inner = reflected(700, decaying);
    const places = (i: number) => i + Math.floor(i / 7);
    const data = new Float64Array(800 * 800);
    for (let i = 0; i < 700; i += 1) {
      for (let j = 0; j < 700; j += 1) data[places(i) * 800 + places(j)] = inner.data[i * 700 + j] ?? 0;
    }
    const gram = { ...asGram({ rows: 800, columns: 800, data }), rowCount: 1000 };
    const recipe = { energy: 0.95, step: 20, centre: false };
    const [whole, without] = [gram, { ...asGram(inner), rowCount: 1000 }];
    const spread = await solveProjection(whole, recipe, { seed: 4, product });
    const dense = await solveProjection(without, recipe, { seed: 4, product });
    assert.equal(spread.components, dense.components);
    close(spread.energyKept, dense.energyKept, 1e-10);
    for (let i = 7; i < 800; i += 8) {
      for (let k = 0; k < spread.components; k += 1) {
        close(spread.basis[i * spread.components + k] ?? Number.NaN, 0, 1e-9);
      }
    }
  });
});

async function assertEigenpairs(matrix: Matrix64, { values, vectors }: Eigenpairs): Promise<void> {
  const images = await product.multiply(vectors, matrix);
  const overlaps = await product.multiply(vectors, vectors, { transposeB: true });
  const size = matrix.rows;
  const magnitude = Math.max(Math.abs(values[0] ?? 0), Math.abs(values.at(-1) ?? 0));
  for (let i = 0; i < size; i += 1) {
    assert.ok(i === 0 || (values[i] ?? Number.NaN) <= (values[i - 1] ?? Number.NaN));
    for (let j = 0; j < size; j += 1) {
      const expected = (values[i] ?? 0) * (vectors.data[i * size + j] ?? 0);
      close(images.data[i * size + j] ?? Number.NaN, expected, 1e-13 * magnitude);
      close(overlaps.data[i * size + j] ?? Number.NaN, Number(i === j), 1e-13);
    }
  }
}

function symmetric(size: number, entry: (i: number, j: number) => number): Matrix64 {
  const data = Float64Array.from({ length: size * size }, (_, at) => entry(Math.floor(at / size), at % size));
  return { rows: size, columns: size, data };
}

function normals(size: number, seed: number): Matrix64 {
  const random = new SeededRandom(seed);
  const data = Float64Array.from({ length: size * size }, () => random.normal());
  return symmetric(size, (i, j) => data[Math.max(i, j) * size + Math.min(i, j)] ?? 0);
}

/** R·diag(eigenvalues)·R, whose eigenvectors are the rows of R = `reflect`. */
function reflected(size: number, eigenvalue: (i: number) => number): Matrix64 {
  const data = new Float64Array(size * size);
  for (let i = 0; i < size; i += 1) {
    const row = data.subarray(i * size, (i + 1) * size);
    row[i] = 1;
    reflect(row);
    for (let j = 0; j < size; j += 1) row[j] = (row[j] ?? 0) * eigenvalue(j);
    reflect(row);
  }
  return symmetric(size, (i, j) => data[Math.max(i, j) * size + Math.min(i, j)] ?? 0);
}

/** The reflection at a vector without zeros, its own inverse, in place. */
function reflect(vector: Float64Array): void {
  const normal = vector.map((_, i) => 1 + Math.cos(3 * i));
  const square = normal.reduce((sum, x) => sum + x * x, 0);
  const along = vector.reduce((sum, x, i) => sum + x * (normal[i] ?? 0), 0);
  for (let i = 0; i < vector.length; i += 1) {
    vector[i] = (vector[i] ?? 0) - ((2 * along) / square) * (normal[i] ?? 0);
  }
}

function asGram({ rows, data }: Matrix64): Gram {
  return { dimension: rows, rowCount: 1, products: data, columnSum: new Float64Array(rows) };
}

function close(actual: number, expected: number, tolerance: number): void {
  // Called a million times: the message is made for a failure alone.
  if (!(Math.abs(actual - expected) <= tolerance))
    assert.fail(`${actual} is not within ${tolerance} of ${expected}`);
}
