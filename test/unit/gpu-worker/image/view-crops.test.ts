import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type ViewsRecipe, viewsRecipe } from "#common/recipe/views-recipe";
import { drawView } from "#gpu-worker/image/views/view";
import { type ViewParameters, viewParameters } from "#gpu-worker/image/views/view-parameters";

const still = { rotation: 0, shiftX: 0, shiftY: 0, zoom: 0, horizontalFlip: false } as const;
const cropped = viewsRecipe.parse({ ...still, crop: { share: 0.1, probability: 0.5 } });
const resized = viewsRecipe.parse({ ...still, resizedCrop: { area: [0.1, 0.6], ratio: [0.75, 4 / 3] } });
function draws(recipe: ViewsRecipe, count: number): ViewParameters[] {
  return Array.from({ length: count }, (_, i) => viewParameters(recipe, 3, `picture ${i}`, 1 + (i % 5)));
}

describe("views: crops that are drawn", () => {
  it("half the views lose up to a tenth at every edge, each edge for itself", () => {
    const all = draws(cropped, 4000).map(({ crop }) => crop);
    const cut = all.filter(({ width }) => width < 1);
    assert.ok(Math.abs(cut.length / all.length - 0.5) < 0.03);
    const edges = {
      left: cut.map(({ left }) => left),
      top: cut.map(({ top }) => top),
      right: cut.map(({ left, width }) => 1 - left - width),
      bottom: cut.map(({ top, height }) => 1 - top - height),
    };
    for (const [name, values] of Object.entries(edges)) {
      assertUniform(values, 0, 0.1, name);
      for (const [other, others] of Object.entries(edges))
        assert.ok(name === other || Math.abs(correlation(values, others)) < 0.1, `${name} and ${other}`);
    }
    for (const { left, top, width, height } of all.filter(({ width }) => width === 1))
      assert.deepEqual([left, top, width, height], [0, 0, 1, 1]);
  });

  it("crops always with probability one and never with zero", () => {
    for (const probability of [0, 1]) {
      const recipe = viewsRecipe.parse({ ...still, crop: { share: 0.2, probability } });
      const cut = draws(recipe, 500).filter(({ crop }) => crop.width < 1);
      assert.equal(cut.length, 500 * probability);
    }
  });

  it("a resized crop's area is uniform, its ratio log-uniform, its place uniform where it fits", () => {
    const windows = draws(resized, 4000).map(({ resizedCrop }) => resizedCrop);
    assertUniform(
      windows.map(({ width, height }) => width * height),
      0.1,
      0.6,
      "area",
    );
    const [low, high] = [Math.log(0.75), Math.log(4 / 3)];
    assertUniform(
      windows.map(({ width, height }) => Math.log(width / height)),
      low,
      high,
      "log ratio",
    );
    assertUniform(
      windows.map(({ left, width }) => left / (1 - width)),
      0,
      1,
      "left",
    );
    assertUniform(
      windows.map(({ top, height }) => top / (1 - height)),
      0,
      1,
      "top",
    );
  });

  it("every crop's view stays inside the picture", () => {
    for (const recipe of [cropped, resized, viewsRecipe.parse({ ...still, resizedCrop: {} })]) {
      for (let i = 0; i < 2000; i += 1) {
        const { affine } = drawView(recipe, 9, `picture ${i}`, 1);
        for (const row of [affine.slice(0, 3), affine.slice(3)]) {
          const [x = NaN, y = NaN, offset = NaN] = row;
          assert.ok(Math.abs(x) + Math.abs(y) + Math.abs(offset) <= 1 + 1e-12, affine.join());
        }
      }
    }
  });
});

/** Kolmogorov and Smirnov's distance from the uniform distribution; passes in all but one of 10,000 samples. */
function assertUniform(values: readonly number[], low: number, high: number, name: string): void {
  const sorted = values.toSorted((a, b) => a - b);
  const distance = Math.max(
    ...sorted.map((value, i) => {
      const share = (value - low) / (high - low);
      return Math.max(share - i / sorted.length, (i + 1) / sorted.length - share);
    }),
  );
  assert.ok(distance < 2.23 / Math.sqrt(values.length), `${name}: ${distance} from uniform`);
}

function correlation(a: readonly number[], b: readonly number[]): number {
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const centred = (values: readonly number[]) => values.map((value) => value - mean(values));
  const product = (x: readonly number[], y: readonly number[]) => mean(x.map((value, i) => value * y[i]!));
  const [x, y] = [centred(a), centred(b)];
  return product(x, y) / Math.sqrt(product(x, x) * product(y, y));
}
