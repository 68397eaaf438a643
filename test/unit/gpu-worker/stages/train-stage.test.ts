import assert from "node:assert/strict";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import {
  SeededRandom,
  TrommelError,
  canonicalJson,
  metrics as metricsSchema,
  openStore,
  recipe,
  runKeys,
  sha256Hex,
  type Metrics,
  type ObjectStore,
  type RecipeInput,
  type RunConfig,
} from "@trommel/common";
import type { StageContext } from "#gpu-worker/stages/context";
import { readSplit } from "#gpu-worker/stages/inputs/split";
import { train } from "#gpu-worker/stages/train";
import { readLabelledRows } from "#gpu-worker/stages/training/training-rows";
import { extractedRun, putExtractedShard } from "../../../support/runs/extracted-run.js";
import { fileHashes, filesBelow } from "../../../support/files/file-hashes.js";
import { temporaryFolder } from "../../../support/files/temp-folder.js";

const root = await temporaryFolder("train-stage");
const keys = runKeys("r");
const dimension = 5;
const views = 3;
/** In this order, which is no alphabetical one; the second has no image. */
const classes = ["paper", "battery", "glass"];
const perClass = 30;
/** Key and class of each image; the names do not tell the class. */
const images = Array.from({ length: 2 * perClass }, (_, i) => {
  return { key: `img_${String(i).padStart(2, "0")}.jpg`, label: i % 2 === 0 ? "paper" : "glass" };
});
/** Per shard: the first twenty images, which are in the first. */
const validation = [Array.from({ length: 20 }, (_, position) => position), []];

describe("train stage", () => {
  it("takes labels from the run's table, classes in the listing's order, and rows by the split", async () => {
    const { store, config } = await planned("rows", { training: { refit: true } });
    const { signal } = new AbortController();
    const split = await readSplit(store, "r");
    const rows = await readLabelledRows({ store, config, split, projection: null, threads: 1, signal });
    assert.deepEqual(rows.labels, classes);
    assert.deepEqual(rows.counts, [
      { label: "paper", train: 20, validation: 10, test: 0 },
      { label: "battery", train: 0, validation: 0, test: 0 },
      { label: "glass", train: 20, validation: 10, test: 0 },
    ]);
    const classOf = (i: number) => (i % 2 === 0 ? 0 : 2);
    const expected = (from: number, to: number, count: number) =>
      Array.from({ length: (to - from) * count }, (_, row) => classOf(from + Math.floor(row / count)));
    assert.deepEqual([...rows.validation.labels], expected(0, 20, 1));
    assert.deepEqual([...(rows.heldBack?.labels ?? [])], expected(0, 20, views));
    assert.deepEqual([...rows.train.labels], expected(20, 60, views));
    // The first number of a row names image and view.
    const first = (features: Float32Array | undefined) => features?.filter((_, i) => i % dimension === 0);
    const named = (from: number, to: number, count: number) =>
      Float32Array.from(
        { length: (to - from) * count },
        (_, row) => from + Math.floor(row / count) + (row % count) / 4,
      );
    assert.deepEqual(first(rows.validation.features), named(0, 20, 1));
    assert.deepEqual(first(rows.heldBack?.features), named(0, 20, views));
    assert.deepEqual(first(rows.train.features), named(20, 60, views));
  });

  it("refuses a table that is not the run's, and a class whose images cannot be read", async () => {
    const changed = await planned("changed", {});
    await changed.store.put(keys.labels, Buffer.from('{"formatVersion":1,"labels":[]}'));
    await assert.rejects(train("r", contextOf(changed.store)), isError("corrupt", /labels\.json/));
    const unread = await planned("unread", {}, [...classes, "trash"]);
    await assert.rejects(train("r", contextOf(unread.store)), isError("bad-dataset", /class "trash"/));
  });

  for (const refit of [false, true]) {
    it(`keeps the best epoch's checkpoint alone, and goes on from the last one${refit ? ", refit too" : ""}`, async () => {
      const training = { epochs: 6, checkpoints: true, refit };
      const { store } = await planned(`whole-${refit}`, { training });
      const checkpoints = (name: string) => filesBelow(join(root, name, keys.checkpoints));
      await train("r", contextOf(store));
      const undisturbed = await fileHashes(join(root, `whole-${refit}`, "runs/r/head"));
      const { bestEpoch, history, refit: refitted, measured } = await readMetrics(`whole-${refit}`);
      const best = `0000${bestEpoch}.safetensors`;
      assert.deepEqual((await checkpoints(`whole-${refit}`)).sort(), [best, `${best}.json`]);
      assert.equal(history.length, 6);
      assert.equal(measured, refit ? "head-before-refit" : "head");
      assert.equal(refitted?.history.length, refit ? bestEpoch : undefined);
      assert.equal(refitted?.rows, refit ? images.length * views : undefined);

      const total = 6 + (refit ? bestEpoch : 0);
      for (const stopAfter of [1, 4, ...(refit ? [7] : [])]) {
        const name = `stopped-${refit}-${stopAfter}`;
        const stopped = await planned(name, { training });
        const abort = new AbortController();
        const stop = contextOf(stopped.store, (done) => done === stopAfter && abort.abort(), abort.signal);
        await assert.rejects(train("r", stop), isError("cancelled", /cancelled/));
        assert.ok((await checkpoints(name)).length <= 4, "the last and the best, with their markers");
        // What a writer that died half way leaves: data without a marker.
        await stopped.store.put(keys.checkpoint(stopAfter + 1), Buffer.from("half"));
        const epochs: number[] = [];
        await train(
          "r",
          contextOf(stopped.store, (done) => epochs.push(done)),
        );
        assert.deepEqual(
          epochs,
          Array.from({ length: total - stopAfter }, (_, i) => stopAfter + 1 + i),
        );
        assert.deepEqual(await fileHashes(join(root, name, "runs/r/head")), undisturbed);
      }
      // A retry after the end trains nothing and leaves just that again.
      await store.put(keys.checkpoint(99), Buffer.from("left over"));
      await train(
        "r",
        contextOf(store, () => assert.fail("trained again")),
      );
      assert.deepEqual(await fileHashes(join(root, `whole-${refit}`, "runs/r/head")), undisturbed);
    });
  }

  it("writes the same head without checkpoints", async () => {
    const training = { epochs: 6, refit: true };
    const { store } = await planned("plain", { training });
    await train("r", contextOf(store));
    const weights = (name: string) => readFile(join(root, name, keys.head));
    assert.deepEqual(await weights("plain"), await weights("whole-true"));
    assert.deepEqual(await filesBelow(join(root, "plain", "runs/r/head")).then((files) => files.length), 4);
    await rm(join(root, "plain"), { recursive: true });
  });
});

/** A run whose shards are extracted: two clouds of features, labelled by a table. */
async function planned(
  name: string,
  asked: Pick<RecipeInput, "training">,
  listed = classes,
): Promise<{ store: ObjectStore; config: RunConfig }> {
  const store = openStore(join(root, name));
  const put = (key: string, value: unknown) => store.put(key, Buffer.from(canonicalJson(value)));
  const table = { formatVersion: 1, labels: images.map(({ key, label }) => [key, label]) };
  const resolved = recipe.parse({
    backbones: ["net"],
    views: { count: views },
    svd: null,
    head: { type: "linear", dropout: 0.2 },
    ...asked,
    training: { batchSize: 16, keep: "loss", optimizer: { learningRate: 0.05 }, ...asked.training },
  });
  const labels = { classes: listed, tableSha256: sha256Hex(canonicalJson(table)) };
  const config = extractedRun(resolved, dimension, labels);
  await put(keys.config, config);
  await put(keys.labels, table);
  const counts = listed.map((label) => ({ label, images: label === "battery" ? 0 : perClass }));
  const totals = { listed: images.length, images: images.length, skipped: 0, sizeBytes: images.length };
  await put(keys.listing, { formatVersion: 1, shards: 2, ...totals, classes: counts });
  await put(keys.split, { formatVersion: 2, seed: 0, fraction: 0.3, validation });
  for (const index of [0, 1]) await putShard(store, config, index);
  return { store, config };
}

async function putShard(store: ObjectStore, config: RunConfig, index: number): Promise<void> {
  const shardKeys = images.slice(index * perClass, (index + 1) * perClass).map(({ key }) => key);
  const random = new SeededRandom(index);
  await putExtractedShard(store, config, { index, keys: shardKeys }, (row, column) => {
    const image = index * perClass + Math.floor(row / views);
    if (column === 0) return image + (row % views) / 4;
    return (image % 2 === 0 ? 1 : -1) + 2 * random.normal();
  });
}

function contextOf(
  store: ObjectStore,
  onEpochs: (done: number) => unknown = () => undefined,
  signal = new AbortController().signal,
): StageContext {
  const ignore = () => undefined;
  return {
    store,
    threads: 1,
    engine: "onnx",
    log: undefined as never,
    signal,
    onImages: ignore,
    onNote: ignore,
    onUnits: (done) => void onEpochs(done),
  };
}

async function readMetrics(name: string): Promise<Metrics> {
  return metricsSchema.parse(JSON.parse(await readFile(join(root, name, keys.metrics), "utf8")));
}

function isError(code: string, message: RegExp) {
  return (thrown: unknown) =>
    thrown instanceof TrommelError && thrown.code === code && message.test(thrown.message);
}
