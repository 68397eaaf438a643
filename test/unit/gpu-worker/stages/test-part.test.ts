import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import {
  SeededRandom,
  canonicalJson,
  decodeHeadWeights,
  metrics as metricsSchema,
  openStore,
  recipe,
  runKeys,
  sha256Hex,
  type Metrics,
  type ObjectStore,
  type RecipeInput,
} from "@trommel/common";
import type { StageContext } from "#gpu-worker/stages/context";
import { gram } from "#gpu-worker/stages/gram";
import { solve } from "#gpu-worker/stages/solve";
import { train } from "#gpu-worker/stages/train";
import { extractedRun, putExtractedShard } from "../../../support/runs/extracted-run.js";
import { temporaryFolder } from "../../../support/files/temp-folder.js";

/** A single head with a test part: what its training sees, and what its figures are. */

const root = await temporaryFolder("test-part");
const keys = runKeys("r");
const dimension = 4;
const labels = ["glass", "paper"];
const names = Array.from({ length: 60 }, (_, i) => `img-${String(i).padStart(2, "0")}.jpg`);
const classOf = (image: number): number => image % 2;
/** Every third image but the first ten, which validate. */
const tested = [...names.keys()].filter((i) => i >= 10 && i % 3 === 0);
const validation = Array.from({ length: 10 }, (_, i) => i);

interface Given {
  readonly training?: RecipeInput["training"];
  readonly svd?: RecipeInput["svd"];
  readonly groups?: object;
  /** The features of an image. */
  readonly features?: (image: number) => readonly number[];
}

/** Two clouds that overlap. */
const clouds = (image: number): number[] => {
  const random = new SeededRandom(image);
  return Array.from({ length: dimension }, () => (classOf(image) === 0 ? 0.6 : -0.6) + random.normal());
};

async function trained(name: string, given: Given): Promise<{ store: ObjectStore; metrics: Metrics }> {
  const store = openStore(join(root, name));
  const put = (key: string, value: unknown) => store.put(key, Buffer.from(canonicalJson(value)));
  const table = { formatVersion: 1, labels: names.map((key, i) => [key, labels[classOf(i)]]) };
  const asked = recipe.parse({
    backbones: ["net"],
    views: { count: 1 },
    svd: given.svd ?? null,
    head: { type: "linear", dropout: 0 },
    split: { test: 0.3, groups: given.groups ?? null },
    training: { batchSize: 8, epochs: 6, keep: "loss", ...given.training },
  });
  const config = extractedRun(asked, dimension, {
    classes: labels,
    tableSha256: sha256Hex(canonicalJson(table)),
  });
  await put(keys.config, config);
  await put(keys.labels, table);
  const classes = labels.map((label) => ({ label, images: 30 }));
  const totals = { listed: 60, images: 60, skipped: 0, sizeBytes: 60 };
  await put(keys.listing, { formatVersion: 1, shards: 1, ...totals, classes });
  await put(keys.split, {
    formatVersion: 2,
    seed: 0,
    fraction: 0.1,
    validation: [validation],
    test: [tested],
  });
  const features = given.features ?? clouds;
  await putExtractedShard(
    store,
    config,
    { index: 0, keys: names },
    (row, column) => features(row)[column] ?? 0,
  );
  const context = contextOf(store);
  await gram("r", 0, context);
  if (given.svd !== undefined) await solve("r", context);
  await train("r", context);
  const metrics = metricsSchema.parse(JSON.parse(Buffer.from(await store.get(keys.metrics)).toString()));
  return { store, metrics };
}

function contextOf(store: ObjectStore): StageContext {
  const ignore = () => undefined;
  const { signal } = new AbortController();
  const rest = { onImages: ignore, onNote: ignore, onUnits: ignore };
  return { store, threads: 1, engine: "onnx", log: undefined as never, signal, ...rest };
}

/** The probability of each class, by the head's own weights in plain arithmetic. */
async function probabilitiesOf(store: ObjectStore, image: number): Promise<number[]> {
  const weights = decodeHeadWeights(await store.get(keys.head), keys.head);
  const tensors = Object.values(weights);
  const kernel = tensors.find(({ shape }) => shape.length === 2);
  const bias = tensors.find(({ shape }) => shape.length === 1);
  assert.ok(kernel !== undefined && bias !== undefined);
  const logits = labels.map((_, at) =>
    clouds(image).reduce(
      (sum, value, i) => sum + Math.fround(value) * (kernel.data[i * labels.length + at] ?? NaN),
      bias.data[at] ?? NaN,
    ),
  );
  const powers = logits.map((logit) => Math.exp(logit - Math.max(...logits)));
  return powers.map((power) => power / powers.reduce((sum, value) => sum + value, 0));
}

describe("a single head with a test part", () => {
  it("fits and chooses nothing on it: other pictures there give the same projection and head", async () => {
    const svd = { energy: 0.9, step: 1 };
    const first = await trained("first", { svd });
    const isTested = new Set(tested);
    const other = await trained("other", {
      svd,
      features: (image) =>
        clouds(isTested.has(image) ? image + 1000 : image).map(
          (value) => value * (isTested.has(image) ? 9 : 1),
        ),
    });
    for (const key of [keys.projection, keys.head])
      assert.ok(Buffer.from(await first.store.get(key)).equals(await other.store.get(key)), key);
    assert.deepEqual(first.metrics.validation, other.metrics.validation);
    assert.notDeepEqual(first.metrics.test, other.metrics.test);
  });

  for (const refit of [false, true]) {
    it(`is measured on it with the final head${refit ? ", trained again" : ""}, as its weights say`, async () => {
      const { store, metrics } = await trained(`measured-${refit}`, { training: { refit } });
      assert.equal(metrics.test?.images, tested.length);
      let [right, loss] = [0, 0];
      for (const image of tested) {
        const probabilities = await probabilitiesOf(store, image);
        if (probabilities[classOf(image)] === Math.max(...probabilities)) right += 1;
        loss -= Math.log(probabilities[classOf(image)] ?? NaN);
      }
      const { accuracy, logLoss } = metrics.test;
      assert.ok(Math.abs(accuracy.value - right / tested.length) < 1e-12);
      assert.ok(Math.abs(logLoss.value - loss / tested.length) < 1e-5, `${logLoss.value}`);
      assert.ok(accuracy.low <= accuracy.value && accuracy.value <= accuracy.high);
      assert.equal(metrics.validation?.images, 10);
      assert.equal(metrics.validation.accuracy.value, metrics.accuracy);
      assert.match(
        metrics.chosenBy,
        /Epoch \d of 6 was chosen on the 10 images.*flatter.*each fifth.*test part do not/,
      );
      assert.deepEqual(metrics.notes, []);
    });
  }

  it("leaves copies of what was trained on out of its figures, and members of its groups", async () => {
    const [copy] = tested;
    const copied = await trained("copied", { features: (image) => clouds(image === copy ? 11 : image) });
    assert.equal(copied.metrics.test?.images, tested.length - 1);
    assert.match(copied.metrics.notes.join(), /1 of the 16 images of the test part is left out.*a copy/);
    // Images 20 to 29 are one group: 21, 24 and 27 are tested, the others of it train.
    const grouped = await trained("grouped", { groups: { pattern: "-(2)" } });
    assert.equal(grouped.metrics.test?.images, tested.length - 3);
    // By the last digit: every group has images that train or validate.
    const none = await trained("none", { groups: { pattern: "-\\d(\\d)" } });
    assert.equal(none.metrics.test, null);
    assert.equal((none.metrics.validation?.images ?? 0) % 4, 0);
    assert.match(none.metrics.notes.join(), /neither copies nor the members of a group are divided/);
    await assert.rejects(trained("one", { groups: { pattern: "(img)" } }), {
      code: "bad-dataset",
      message: /no image is left to validate on/,
    });
    assert.match(none.metrics.notes.join(), /16 of the 16 images of the test part are left out/);
  });

  it("says what was chosen on the validation part", async () => {
    const sentenceOf = async (name: string, training: RecipeInput["training"]) =>
      (await trained(name, { training })).metrics.chosenBy;
    assert.match(
      await sentenceOf("last", { keep: "last", schedule: { type: "constant" } }),
      /The last epoch was kept, and nothing was chosen on the 10 images/,
    );
    assert.match(await sentenceOf("plateau", { keep: "last" }), /learning rate followed the loss.*flatter/);
    assert.match(
      await sentenceOf("solved", { optimizer: { type: "lbfgs" } }),
      /The head was solved, and nothing was chosen/,
    );
  });
});

describe("features that teach nothing", () => {
  it("are refused: embeddings that are all the same, and such as are not finite", async () => {
    await assert.rejects(trained("constant", { features: () => [1, 2, 3, 4] }), {
      code: "bad-dataset",
      message: /all 34 embeddings are the same. Check that the images differ, and the backbone's weights/,
    });
    await assert.rejects(
      trained("infinite", { features: (image) => (image === 20 ? [NaN, 0, 0, 0] : clouds(image)) }),
      {
        code: "corrupt",
        message: /among 34 embeddings there is a value that is not finite. Check the backbone's weights/,
      },
    );
  });
});
