import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { viewsRecipe } from "#common/recipe/views-recipe";
import { drawView, drawViews, hasColour } from "#gpu-worker/image/views/view";
import { affineMatrix, colourMatrix } from "#gpu-worker/image/views/view-matrices";
import {
  type ViewParameters,
  identityParameters,
  viewParameters,
} from "#gpu-worker/image/views/view-parameters";
import { bilinearAt } from "../../../support/images/bilinear.js";

interface Golden {
  readonly side: number;
  /** [side, side, 3] uint8, base64. */
  readonly picture: string;
  readonly cases: readonly {
    readonly parameters: Partial<ViewParameters>;
    /** [side, side, 3] float32, base64. */
    readonly pixels: string;
  }[];
}

const golden = JSON.parse(
  readFileSync(new URL("../../../../golden/keras-views.json", import.meta.url), "utf8"),
) as Golden;
const picture = Buffer.from(golden.picture, "base64");

const everything = viewsRecipe.parse({
  count: 6,
  shear: 10,
  verticalFlip: true,
  quarterTurns: true,
  brightness: 0.3,
  contrast: 0.2,
  saturation: 0.4,
});

describe("views: geometry", () => {
  for (const { parameters, pixels } of golden.cases) {
    const expectedBytes = Buffer.from(pixels, "base64");
    it(`renders as Keras does: ${JSON.stringify(parameters)}`, () => {
      const affine = affineMatrix({ ...identityParameters, ...parameters });
      for (let y = 0; y < golden.side; y += 1) {
        for (let x = 0; x < golden.side; x += 1) {
          const actual = bilinearAt(picture, golden.side, affine, golden.side, x, y);
          for (let c = 0; c < 3; c += 1) {
            const expected = expectedBytes.readFloatLE(((y * golden.side + x) * 3 + c) * 4);
            assert.ok(
              Math.abs((actual[c] ?? NaN) - expected) < 1e-3,
              `(${x}, ${y}, ${c}): ${actual[c]} ≠ ${expected}`,
            );
          }
        }
      }
    });
  }
});

describe("views: crops, by hand", () => {
  const matrix = (parameters: Partial<ViewParameters>) =>
    affineMatrix({ ...identityParameters, ...parameters }).map((value) => Math.round(value * 1e12) / 1e12);
  const withoutLeftTenth = { left: 0.1, top: 0, width: 0.9, height: 1 };
  const lowerRightQuarter = { left: 0.5, top: 0.5, width: 0.5, height: 0.5 };

  it("a cut of the left tenth takes the output's left edge to -0.8 and leaves the right one", () => {
    // x = -1 comes from -0.8 and x = 1 from 1.
    assert.deepEqual(matrix({ crop: withoutLeftTenth }), [0.9, 0, 0.1, 0, 1, 0]);
    assert.deepEqual(matrix({ resizedCrop: withoutLeftTenth }), [0.9, 0, 0.1, 0, 1, 0]);
  });

  it("the lower right quarter lies from 0 to 1 on both axes", () => {
    assert.deepEqual(matrix({ resizedCrop: lowerRightQuarter }), [0.5, 0, 0.5, 0, 0.5, 0.5]);
  });

  it("in the fixed order flips and turns act on what the crop has left", () => {
    // The mirrored view's left edge shows the crop's right edge, which is the picture's.
    assert.deepEqual(matrix({ crop: withoutLeftTenth, flipX: true }), [-0.9, 0, 0.1, 0, 1, 0]);
    // Turned anticlockwise, the upper left corner (-1, -1) shows the crop's upper right one (1, 0).
    assert.deepEqual(
      matrix({ resizedCrop: lowerRightQuarter, quarterTurns: 1 }),
      [0, -0.5, 0.5, 0.5, 0, 0.5],
    );
    // The second crop is of what the first has left: the lower right quarter of it begins at 0.1.
    assert.deepEqual(
      matrix({ crop: withoutLeftTenth, resizedCrop: lowerRightQuarter }),
      [0.45, 0, 0.55, 0, 0.5, 0.5],
    );
  });

  it("in the other order a crop cuts the mirrored picture", () => {
    const order = ["flipX", "crop", "resizedCrop", "affine", "flipY", "quarterTurns"] as const;
    // Its left tenth is the picture's right one: x = -1 comes from 0.8, and x = 1 from -1.
    assert.deepEqual(matrix({ crop: withoutLeftTenth, flipX: true, order }), [-0.9, 0, -0.1, 0, 1, 0]);
  });
});

describe("views: drawing", () => {
  it("view 0 is exactly the identity", () => {
    const { affine, colour } = drawView(everything, 7, "a/b.jpg", 0);
    assert.deepEqual(affine, [1, 0, 0, 0, 1, 0]);
    assert.deepEqual(colour, [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0]);
  });

  it("depends on seed, key and index, and on nothing else", () => {
    const draw = (seed: number, key: string, index: number) =>
      JSON.stringify(drawView(everything, seed, key, index));
    const first = draw(1, "a.jpg", 1);
    draw(5, "other.jpg", 3);
    assert.equal(draw(1, "a.jpg", 1), first);
    const all = [first, draw(2, "a.jpg", 1), draw(1, "b.jpg", 1), draw(1, "a.jpg", 2), draw(1, "a.jp", 1)];
    assert.equal(new Set(all).size, all.length);
    assert.deepEqual(
      drawView({ ...everything, count: 2 }, 1, "a.jpg", 1),
      drawView(everything, 1, "a.jpg", 1),
    );
  });

  it("lays views out one after the other", () => {
    const { affine, colour } = drawViews(everything, 3, "k");
    assert.equal(affine.length, 36);
    assert.equal(colour.length, 72);
    const last = drawView(everything, 3, "k", 5);
    assert.deepEqual([...affine.subarray(30)], last.affine.map(Math.fround));
    assert.deepEqual([...colour.subarray(60)], last.colour.map(Math.fround));
  });

  it("stays in the recipe's ranges and uses all of them", () => {
    const seen = Array.from({ length: 2000 }, (_, i) =>
      viewParameters(everything, 11, `image ${i}`, 1 + (i % 5)),
    );
    const ranges: [keyof ViewParameters, number, number][] = [
      ["rotation", -20, 20],
      ["shiftX", -0.05, 0.05],
      ["shiftY", -0.05, 0.05],
      ["shear", -10, 10],
      ["zoomX", 0.95, 1.05],
      ["zoomY", 0.95, 1.05],
      ["brightness", 0.7, 1.3],
      ["contrast", 0.8, 1.2],
      ["saturation", 0.6, 1.4],
    ];
    for (const [name, low, high] of ranges) {
      const values = seen.map((parameters) => Number(parameters[name]));
      const tenth = (high - low) / 10;
      assert.ok(Math.min(...values) >= low && Math.min(...values) < low + tenth, name);
      assert.ok(Math.max(...values) <= high && Math.max(...values) > high - tenth, name);
    }
    const share = (of: (p: ViewParameters) => boolean) => seen.filter(of).length / seen.length;
    assert.ok(Math.abs(share((p) => p.flipX) - 0.5) < 0.05);
    assert.ok(Math.abs(share((p) => p.flipY) - 0.5) < 0.05);
    for (const turns of [0, 1, 2, 3])
      assert.ok(Math.abs(share((p) => p.quarterTurns === turns) - 0.25) < 0.05);
  });

  it("switching one augmentation on leaves the others' draws as they were", () => {
    const without = viewParameters(
      { ...everything, shear: 0, brightness: 0, horizontalFlip: false },
      1,
      "k",
      1,
    );
    const { shear, brightness, flipX, ...others } = viewParameters(everything, 1, "k", 1);
    assert.deepEqual({ ...without, shear, brightness, flipX }, { ...others, shear, brightness, flipX });
    assert.equal(without.shear, 0);
    assert.equal(without.brightness, 1);
  });
});

describe("views: colour", () => {
  const apply = (parameters: Partial<ViewParameters>, rgb: readonly number[]) => {
    const m = colourMatrix({ ...identityParameters, ...parameters });
    return [0, 4, 8].map((row) =>
      [...rgb, 1].reduce((sum, value, i) => sum + value * (m[row + i] ?? NaN), 0),
    );
  };
  const near = (actual: readonly number[], expected: readonly number[]) =>
    actual.forEach((value, i) =>
      assert.ok(Math.abs(value - (expected[i] ?? NaN)) < 1e-9, `${actual.join()}`),
    );

  it("scales by brightness, stretches about mid-grey by contrast, blends with luma by saturation", () => {
    near(apply({ brightness: 1.2 }, [10, 100, 200]), [12, 120, 240]);
    near(apply({ contrast: 0.5 }, [127.5, 27.5, 227.5]), [127.5, 77.5, 177.5]);
    const luma = 0.299 * 200 + 0.587 * 100 + 0.114 * 50;
    near(apply({ saturation: 0 }, [200, 100, 50]), [luma, luma, luma]);
    near(apply({ saturation: 1.5 }, [90, 90, 90]), [90, 90, 90]);
    near(
      apply({ saturation: 1.5 }, [200, 100, 50]),
      [200, 100, 50].map((v) => luma + 1.5 * (v - luma)),
    );
  });

  it("composes saturation, then contrast, then brightness", () => {
    const saturated = apply({ saturation: 0.3 }, [200, 100, 50]);
    const stretched = apply({ contrast: 1.4 }, saturated);
    near(
      apply({ saturation: 0.3, contrast: 1.4, brightness: 0.8 }, [200, 100, 50]),
      apply({ brightness: 0.8 }, stretched),
    );
  });

  it("knows when the graph needs a colour step", () => {
    assert.equal(hasColour(viewsRecipe.parse({})), false);
    assert.equal(hasColour(viewsRecipe.parse({ saturation: 0.1 })), true);
    assert.equal(hasColour(viewsRecipe.parse({ saturation: 0.1, count: 1 })), false);
  });
});
