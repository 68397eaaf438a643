import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type ViewsRecipe, viewsRecipe } from "#common/recipe/views-recipe";
import { drawView } from "#gpu-worker/image/views/view";
import {
  type GeometricStep,
  type ViewParameters,
  fixedOrder,
  identityParameters,
  viewParameters,
} from "#gpu-worker/image/views/view-parameters";

const still = { rotation: 0, shiftX: 0, shiftY: 0, zoom: 0, horizontalFlip: false } as const;
const shuffled = viewsRecipe.parse({
  ...still,
  rotation: 10,
  horizontalFlip: true,
  verticalFlip: true,
  quarterTurns: true,
  crop: { share: 0.1, probability: 0.5 },
  resizedCrop: {},
  order: "random",
});

function draws(recipe: ViewsRecipe, count: number): ViewParameters[] {
  return Array.from({ length: count }, (_, i) => viewParameters(recipe, 3, `picture ${i}`, 1 + (i % 5)));
}

const shareOf = <T>(items: readonly T[], of: (item: T) => boolean) => items.filter(of).length / items.length;

describe("views: steps that are drawn", () => {
  it("flips half the views and turns a quarter of them each way", () => {
    const all = draws(shuffled, 4000);
    assert.ok(Math.abs(shareOf(all, ({ flipX }) => flipX) - 0.5) < 0.03);
    assert.ok(Math.abs(shareOf(all, ({ flipY }) => flipY) - 0.5) < 0.03);
    for (const turns of [0, 1, 2, 3])
      assert.ok(Math.abs(shareOf(all, ({ quarterTurns }) => quarterTurns === turns) - 0.25) < 0.03);
  });

  it("mirrors every odd view and no other where flips alternate", () => {
    const recipe = viewsRecipe.parse({ ...still, horizontalFlip: "alternate", count: 6 });
    for (const key of ["a", "b", "c"]) {
      const views = [0, 1, 2, 3, 4, 5].map((view) => drawView(recipe, 1, key, view).affine);
      const plain = [1, 0, 0, 0, 1, 0];
      const mirrored = [-1, 0, 0, 0, 1, 0];
      assert.deepEqual(views, [plain, mirrored, plain, mirrored, plain, mirrored]);
    }
  });

  it("takes every order of the steps that are on equally often", () => {
    const counts = new Map<string, number>();
    for (const { order } of draws(shuffled, 9600)) {
      assert.deepEqual(order.toSorted(), fixedOrder.toSorted());
      const some = order.filter((step) => step !== "resizedCrop" && step !== "quarterTurns").join();
      counts.set(some, (counts.get(some) ?? 0) + 1);
    }
    assert.equal(counts.size, 24);
    for (const [order, count] of counts) assert.ok(Math.abs(count - 400) < 5 * 20, `${order}: ${count}`);
  });

  it("does the steps in the order that was drawn: walking each point through them one by one ends alike", () => {
    const orders = new Set<string>();
    for (let i = 0; i < 300; i += 1) {
      const parameters = viewParameters(shuffled, 5, `picture ${i}`, 2);
      const { affine: m } = drawView(shuffled, 5, `picture ${i}`, 2);
      for (const corner of [
        [-1, -1],
        [1, -1],
        [0.25, 1],
      ] as [number, number][]) {
        const [x, y] = walked(corner, parameters);
        const [u, v] = corner;
        assert.ok(Math.abs(m[0]! * u + m[1]! * v + m[2]! - x) < 1e-12);
        assert.ok(Math.abs(m[3]! * u + m[4]! * v + m[5]! - y) < 1e-12);
      }
      orders.add(parameters.order.join());
    }
    assert.ok(orders.size > 200, "orders differ between views");
  });

  it("keeps one order where it is fixed", () => {
    for (const { order } of draws({ ...shuffled, order: "fixed" }, 20)) assert.deepEqual(order, fixedOrder);
  });
});

describe("views: draws beside one another", () => {
  it("switching a crop or the order on leaves the others' draws as they were", () => {
    const all = viewParameters(shuffled, 1, "k", 1);
    const without = viewParameters({ ...shuffled, crop: null, resizedCrop: null, order: "fixed" }, 1, "k", 1);
    const { crop, resizedCrop, order } = identityParameters;
    assert.deepEqual(without, { ...all, crop, resizedCrop, order });
    assert.deepEqual(viewParameters({ ...shuffled, crop: null }, 1, "k", 1), { ...all, crop });
    assert.deepEqual(viewParameters({ ...shuffled, resizedCrop: null }, 1, "k", 1), { ...all, resizedCrop });
  });

  it("view 0 is the identity whatever is on, and any view a function of seed, key and index", () => {
    assert.deepEqual(drawView(shuffled, 4, "k", 0).affine, [1, 0, 0, 0, 1, 0]);
    const first = drawView(shuffled, 4, "k", 3);
    drawView(shuffled, 5, "other", 1);
    assert.deepEqual(drawView(shuffled, 4, "k", 3), first);
    assert.notDeepEqual(drawView(shuffled, 5, "k", 3), first);
    assert.notDeepEqual(drawView(shuffled, 4, "l", 3), first);
    assert.notDeepEqual(drawView(shuffled, 4, "k", 2), first);
  });

  it("after the first are the exact flips that the recipe names, and the others are what they are without them", () => {
    const flipped: ViewsRecipe = { ...shuffled, flips: ["vertical", "horizontal", "both"] };
    const affines = [1, 2, 3].map((view) => drawView(flipped, 4, "k", view).affine);
    assert.deepEqual(affines, [
      [1, 0, 0, 0, -1, 0],
      [-1, 0, 0, 0, 1, 0],
      [-1, 0, 0, 0, -1, 0],
    ]);
    assert.deepEqual(drawView(flipped, 4, "k", 1).colour, drawView(shuffled, 4, "k", 0).colour);
    assert.deepEqual(drawView(flipped, 4, "k", 4), drawView(shuffled, 4, "k", 4));
    assert.throws(() => viewsRecipe.parse({ flips: ["both"], count: 1 }), /more views than flips/);
    assert.throws(() => viewsRecipe.parse({ flips: ["both", "both"] }), /each flip is given once/);
  });

  it("views of earlier recipes are what they were: features that are stored stay valid", () => {
    // By the first version of these draws, before crops and orders.
    const recipe = viewsRecipe.parse({ shear: 10, verticalFlip: true, quarterTurns: true });
    const known: [string, number, number[]][] = [
      ["a.jpg", 1, [0.2163130452, -0.9841042112, 0.0644493073, -0.9398291575, -0.2252156259, 0.0760890549]],
      [
        "塑料/瓶.jpg",
        5,
        [-0.9520856059, -0.0885954897, 0.0918106303, 0.0126100349, 1.0242096869, 0.0635360438],
      ],
    ];
    for (const [key, view, expected] of known) {
      const { affine } = drawView(recipe, 7, key, view);
      assert.ok(
        affine.every((value, i) => Math.abs(value - expected[i]!) < 1e-9),
        affine.join(),
      );
    }
  });
});

/** From output to input, so the last step comes first; each step by its definition, with no matrix. */
function walked(corner: [number, number], p: ViewParameters): [number, number] {
  return p.order.toReversed().reduce(([x, y], step) => steppedBack(step, x, y, p), corner);
}

function steppedBack(step: GeometricStep, x: number, y: number, p: ViewParameters): [number, number] {
  const across = (at: number, low: number, size: number) => 2 * (low + (size * (at + 1)) / 2) - 1;
  const angle = (p.rotation / 180) * Math.PI;
  switch (step) {
    case "crop":
    case "resizedCrop":
      return [across(x, p[step].left, p[step].width), across(y, p[step].top, p[step].height)];
    case "flipX":
      return [p.flipX ? -x : x, y];
    case "flipY":
      return [x, p.flipY ? -y : y];
    case "quarterTurns": {
      const turned: [number, number][] = [
        [x, y],
        [-y, x],
        [-x, -y],
        [y, -x],
      ];
      return turned[p.quarterTurns]!;
    }
    case "affine": {
      const polar = Math.atan2(y, x) - angle;
      return [Math.hypot(x, y) * Math.cos(polar), Math.hypot(x, y) * Math.sin(polar)];
    }
  }
}
