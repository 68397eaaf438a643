import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { recipe } from "@trommel/common";
import { roundSpan, tuningRounds } from "@trommel/common/artefacts";
import { drawMixture } from "#gpu-worker/head/batches/mixup";
import { drawView } from "#gpu-worker/image/views/view";
import { tuningBatch, type BatchRecipe } from "#gpu-worker/tuning/rounds/batch-targets";
import { batchNumber, epochOrder, imagesOfBatch } from "#gpu-worker/tuning/rounds/epoch-order";
import { seedFrom } from "@trommel/common";

const network = { parameterCount: 1e6, inputSize: 64 };
const { tune, views } = recipe.parse({ backbones: ["net"], tune: { batchSize: 4, epochs: 3 } });
if (tune === null) throw new Error("the recipe tunes nothing");

/** The images of each step of every replica, as its jobs take them round by round. */
function taken(images: number, of: { readonly replicas: number; readonly localSteps: number }): number[][][] {
  const rounds = tuningRounds({ ...tune!, ...of }, images, network);
  return Array.from({ length: of.replicas }, (_, replica) => {
    const steps: number[][] = [];
    for (let round = 0; round < rounds.rounds; round += 1) {
      const span = roundSpan(rounds, round);
      const order = epochOrder(images, 7, span.epoch);
      for (let step = span.firstStep; step < span.firstStep + span.steps; step += 1)
        steps.push([...imagesOfBatch(order, rounds, batchNumber(rounds, replica, step))]);
    }
    return steps;
  });
}

describe("the order of an epoch", () => {
  it("is another permutation of all images for every epoch and seed, and the same each time", () => {
    const orders = [epochOrder(50, 7, 1), epochOrder(50, 7, 2), epochOrder(50, 8, 1)];
    const all = Array.from({ length: 50 }, (_, image) => image);
    for (const order of orders)
      assert.deepEqual(
        [...order].sort((a, b) => a - b),
        all,
      );
    assert.equal(new Set(orders.map((order) => order.join())).size, 3);
    assert.deepEqual(epochOrder(50, 7, 2), orders[1]);
  });

  it("is divided among the replicas: no image twice in an epoch, equally many steps each", () => {
    const parts = taken(50, { replicas: 3, localSteps: 2 });
    // 50 images fill 12 batches of 4: 4 of them for each of 3 replicas, in each of 3 epochs.
    assert.deepEqual(
      parts.map(({ length }) => length),
      [12, 12, 12],
    );
    for (let epoch = 0; epoch < 3; epoch += 1) {
      const seen = parts.flatMap((steps) => steps.slice(4 * epoch, 4 * (epoch + 1)).flat());
      assert.equal(seen.length, 48);
      assert.equal(new Set(seen).size, 48);
    }
  });

  it("is the same sequence of steps whatever the length of the rounds", () => {
    const [reference] = taken(50, { replicas: 1, localSteps: 12 });
    for (const localSteps of [1, 5, 100])
      assert.deepEqual(taken(50, { replicas: 1, localSteps })[0], reference);
    const flat = (reference ?? []).slice(0, 12).flat();
    assert.deepEqual(flat, [...epochOrder(50, 7, 1)].slice(0, 48));
  });
});

const images = { pixels: new Uint8Array(4), keys: ["a/1", "a/2", "b/1"], labels: Int32Array.of(0, 0, 1) };
const plain: BatchRecipe = {
  tune: { labelSmoothing: 0.2, mixup: 0, dropout: 0 },
  ...{ views, seed: 7, classCount: 2, dimension: 5, classWeights: undefined },
};

function near(found: ArrayLike<number>, expected: readonly number[]): void {
  assert.equal(found.length, expected.length);
  for (const [at, value] of expected.entries())
    assert.ok(Math.abs((found[at] ?? NaN) - value) < 1e-6, `${at}: ${found[at]} and ${value}`);
}

describe("a batch of tuning", () => {
  it("shows every image in the view of its epoch's number, and smooths its target", () => {
    const batch = tuningBatch(plain, images, { epoch: 3, batch: 1 });
    near(
      batch.affine,
      images.keys.flatMap((key) => [...drawView(views, 7, key, 3).affine]),
    );
    near(
      batch.colour,
      images.keys.flatMap((key) => [...drawView(views, 7, key, 3).colour]),
    );
    near(batch.targets, [0.9, 0.1, 0.9, 0.1, 0.1, 0.9]);
    near(batch.rowShares, [1 / 3, 1 / 3, 1 / 3]);
    assert.deepEqual([batch.mix, batch.dropout], [null, null]);
  });

  it("weighs each image by its class", () => {
    const batch = tuningBatch({ ...plain, classWeights: Float64Array.of(0.75, 1.5) }, images, {
      epoch: 1,
      batch: 0,
    });
    near(batch.rowShares, [0.25, 0.25, 0.5]);
  });

  it("mixes targets as it tells the tuner to mix pixels, and weights with them", () => {
    const mixed: BatchRecipe = {
      ...plain,
      tune: { ...plain.tune, mixup: 0.4 },
      classWeights: Float64Array.of(0.75, 1.5),
    };
    const { mix, targets, rowShares } = tuningBatch(mixed, images, { epoch: 2, batch: 5 });
    const drawn = drawMixture(0.4, seedFrom(7, "tuning"), { epoch: 2, step: 5, rows: 3 });
    assert.deepEqual(mix, { partner: drawn.partners, share: drawn.share });
    const weight = [0.75, 0.75, 1.5];
    const smooth = [
      [0.9, 0.1],
      [0.9, 0.1],
      [0.1, 0.9],
    ];
    for (const row of [0, 1, 2]) {
      const partner = drawn.partners[row] as number;
      const [own, other] = [drawn.share * (weight[row] ?? 0), (1 - drawn.share) * (weight[partner] ?? 0)];
      // The gradient of the loss is share · (softmax − target): its target part is what each image asks for, by its weight.
      const asked = [0, 1].map(
        (of) => (own * (smooth[row]?.[of] ?? 0) + other * (smooth[partner]?.[of] ?? 0)) / 3,
      );
      near(
        [0, 1].map((of) => (rowShares[row] as number) * (targets[2 * row + of] as number)),
        asked,
      );
      near([rowShares[row] as number], [(own + other) / 3]);
    }
  });

  it("draws dropout of mean one for each batch from its epoch and number alone", () => {
    const dropping: BatchRecipe = { ...plain, dimension: 4000, tune: { ...plain.tune, dropout: 0.25 } };
    const draw = (epoch: number, batch: number) =>
      tuningBatch(dropping, images, { epoch, batch }).dropout ?? new Float32Array();
    const factors = draw(1, 2);
    assert.deepEqual(new Set(factors), new Set([0, Math.fround(4 / 3)]));
    const zeros = factors.filter((factor) => factor === 0).length / factors.length;
    // Five standard errors of 12,000 draws.
    assert.ok(Math.abs(zeros - 0.25) < 0.02, `${zeros}`);
    assert.deepEqual(draw(1, 2), factors);
    assert.notDeepEqual(draw(2, 2), factors);
    assert.notDeepEqual(draw(1, 3), factors);
  });
});
