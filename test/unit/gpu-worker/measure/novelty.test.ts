import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, describe, it } from "node:test";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { SeededRandom, TrommelError, decodeNovelty, encodeNovelty, type Novelty } from "@trommel/common";
import { GraphBuilder } from "#gpu-worker/graph/graph-builder";
import { MatrixProduct } from "#gpu-worker/linalg/matrix-product";
import { solveRidge } from "#gpu-worker/measure/novelty/conjugate-gradients";
import { emitNovelty } from "#gpu-worker/measure/novelty/emit-novelty";
import { fitNovelty, heldOutParts } from "#gpu-worker/measure/novelty/fit-novelty";
import type { NoveltyRows } from "#gpu-worker/measure/novelty/moments";
import { noveltyDistances, noveltyPercentiles } from "#gpu-worker/measure/novelty/novelty-distances";

interface NoveltyGolden {
  readonly views: number;
  readonly dimension: number;
  readonly classes: number;
  readonly folds: number;
  readonly rows: number[];
  readonly labels: number[];
  readonly foldOf: number[];
  readonly novel: number[];
  readonly distances: number[];
  readonly served: number[];
  readonly percentiles: number[];
}

const goldenFile = new URL("../../../../golden/measure/novelty.json", import.meta.url);
const golden = JSON.parse(readFileSync(goldenFile, "utf8")) as NoveltyGolden;
const input: NoveltyRows = {
  rows: Float32Array.from(golden.rows),
  dimension: golden.dimension,
  views: golden.views,
  labels: Int32Array.from(golden.labels),
  classCount: golden.classes,
  foldOf: Int32Array.from(golden.foldOf),
  folds: golden.folds,
};
const novel = Float32Array.from(golden.novel);
const product = new MatrixProduct({ threads: 1 });
after(() => product.release());

describe("novelty", () => {
  it("has numpy's out-of-fold distances, and gives its distances and percentiles of other images", async () => {
    const { novelty, distances } = await fitNovelty(input, product);
    closeAll(distances, golden.distances, 1e-6);
    const served = noveltyDistances(novelty, novel);
    closeAll(served, golden.served, 1e-5);
    closeAll(noveltyPercentiles(novelty, served), golden.percentiles, 1e-5);
  });

  it("takes its percentiles of images that others have held out, and its statistics of all", async () => {
    const own = await fitNovelty(input, product);
    const parts = await heldOutParts(input, product);
    assert.deepEqual(await fitNovelty(input, product, parts), own);
    // All in one fold that is not predicted, as rows are whose network has seen them.
    const seen = { ...input, foldOf: input.foldOf.map(() => 0), folds: 1, predictedFolds: 0 };
    const { novelty, distances } = await fitNovelty(seen, product, parts);
    assert.deepEqual(distances, own.distances);
    assert.deepEqual(novelty.quantiles, own.novelty.quantiles);
    closeAll(noveltyDistances(novelty, novel), golden.served, 1e-5);
  });

  it("gives the same in ONNX Runtime, whatever the opset, and after it was written and read", async () => {
    const fitted = await fitNovelty(withConstantFeature(input), product);
    const novelty = decodeNovelty(encodeNovelty(fitted.novelty), "novelty.safetensors");
    assert.deepEqual(novelty, fitted.novelty);
    assert.equal(novelty.used.length, input.dimension);
    const features = withConstantFeature({ ...input, rows: Float32Array.of(...input.rows, ...novel) }).rows;
    const expected = noveltyPercentiles(novelty, noveltyDistances(novelty, features));
    assert.ok(expected.includes(1) && expected.some((share) => share > 0.2 && share < 0.8));
    for (const opset of [16, 17, 18, 20, 23]) {
      closeAll(await inGraph(novelty, features, opset), expected, 1e-4);
    }
  });

  it("says of training images what their order out of fold says, also where distances are equal", () => {
    const quantiles = Float32Array.of(1, 1, 2, 4, 4);
    const shares = noveltyPercentiles({ quantiles } as Novelty, Float64Array.of(0, 1, 1.5, 2, 3, 4, 4.1));
    closeAll(shares, [0, 0, 0.375, 0.5, 0.625, 0.75, 1], 1e-5);
  });

  it("finds noise and what no class is like more novel than what it was fitted on", async () => {
    const { novelty } = await fitNovelty(input, product);
    const random = new SeededRandom(1);
    const noise = Float32Array.from({ length: 50 * input.dimension }, () => 3 * random.normal());
    const shares = noveltyPercentiles(novelty, noveltyDistances(novelty, noise));
    assert.ok(shares.filter((share) => share > 0.95).length > 40);
  });

  it("works with a class that a fold holds whole, and with fewer rows than features", async () => {
    const foldOf = input.labels.map((label) => (label === 0 ? 0 : 1));
    const whole = await fitNovelty({ ...input, foldOf, folds: 2 }, product);
    assert.ok(whole.distances.every(Number.isFinite));
    const few = await fitNovelty(
      {
        ...{
          rows: input.rows.slice(0, 4 * input.dimension),
          dimension: input.dimension,
          views: 1,
          classCount: 2,
        },
        ...{ labels: Int32Array.of(0, 1, 0, 1), foldOf: Int32Array.of(0, 0, 1, 1), folds: 2 },
      },
      product,
    );
    assert.ok(few.distances.every(Number.isFinite));
  });

  it("does not take the rounding of features that depend on one another for novelty", async () => {
    const random = new SeededRandom(4);
    const images = 24;
    const sums = Float32Array.from({ length: images * 4 });
    for (let image = 0; image < images; image += 1) {
      const [a, b] = [random.normal(), random.normal()];
      sums.set([a, b, (a + b) / Math.SQRT2, (a - b) / Math.SQRT2], image * 4);
    }
    const labels = Int32Array.from({ length: images }, (_, image) => image % 3);
    const foldOf = Int32Array.from({ length: images }, (_, image) => image % 5);
    const { novelty } = await fitNovelty(
      { rows: sums, dimension: 4, views: 1, labels, classCount: 3, foldOf, folds: 5 },
      product,
    );
    const rounded = sums.map((value) => value * (1 + 4e-7 * (random.unit() - 0.5)));
    const shareOf = (features: Float32Array) =>
      noveltyPercentiles(novelty, noveltyDistances(novelty, features));
    closeAll(shareOf(rounded), shareOf(sums), 1e-3);
  });

  it("refuses features of which none varies", async () => {
    await assert.rejects(
      fitNovelty({ ...input, rows: new Float32Array(input.rows.length) }, product),
      (thrown: unknown) => thrown instanceof TrommelError && thrown.code === "bad-dataset",
    );
  });

  it("refuses a file whose shapes do not fit", async () => {
    const { novelty } = await fitNovelty(input, product);
    for (const broken of [
      { ...novelty, dimension: 3 },
      { ...novelty, used: novelty.used.toReversed() },
      { ...novelty, quantiles: Float32Array.of(1) },
    ]) {
      assert.throws(
        () => decodeNovelty(encodeNovelty(broken), "x"),
        (thrown: unknown) => thrown instanceof TrommelError && thrown.code === "corrupt",
      );
    }
  });
});

describe("solveRidge", () => {
  it("solves a singular matrix with a ridge, and gives zero for zero", async () => {
    const random = new SeededRandom(4);
    const [size, rank] = [30, 5];
    const factors = Float64Array.from({ length: size * rank }, () => random.normal());
    const narrow = { rows: size, columns: rank, data: factors };
    const matrix = await product.multiply(narrow, narrow, { transposeB: true });
    const right = {
      rows: 2,
      columns: size,
      data: Float64Array.from({ length: 2 * size }, () => random.normal()),
    };
    right.data.fill(0, size);
    const solution = await solveRidge(matrix, 0.5, right, product);
    const image = await product.multiply(solution, matrix);
    closeAll(
      image.data.map((value, i) => value + 0.5 * (solution.data[i] as number)),
      right.data,
      1e-7,
    );
    assert.ok(solution.data.subarray(size).every((value) => value === 0));
  });
});

/** Puts a feature that is always 2 in front of each row. */
function withConstantFeature(rows: NoveltyRows): NoveltyRows {
  const { dimension } = rows;
  const count = rows.rows.length / dimension;
  const wider = new Float32Array(count * (dimension + 1)).fill(2);
  for (let row = 0; row < count; row += 1) {
    wider.set(rows.rows.subarray(row * dimension, (row + 1) * dimension), row * (dimension + 1) + 1);
  }
  return { ...rows, rows: wider, dimension: dimension + 1 };
}

async function inGraph(novelty: Novelty, features: Float32Array, opset: number): Promise<Float32Array> {
  const builder = new GraphBuilder({ opset });
  const x = builder.input("features", "float32", ["images", novelty.dimension]);
  builder.output("novelty", "float32", ["images"], emitNovelty(builder, x, novelty));
  const session = await InferenceSession.create(builder.encode());
  const shape = [features.length / novelty.dimension, novelty.dimension];
  const outputs = await session.run({ features: new Tensor("float32", features, shape) });
  await session.release();
  return outputs["novelty"]?.data as Float32Array;
}

function closeAll(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number): void {
  assert.equal(actual.length, expected.length);
  for (let i = 0; i < expected.length; i += 1) {
    const [a, b] = [actual[i] as number, expected[i] as number];
    assert.ok(Math.abs(a - b) <= tolerance * Math.max(1, Math.abs(b)), `${i}: ${a}, expected ${b}`);
  }
}
