import assert from "node:assert/strict";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import {
  bundleFiles,
  featureShardKey,
  runKeys,
  sha256Hex,
  writeWithMarker,
  type ObjectStore,
} from "@trommel/common";
import { writeListing } from "#coordinator/plan/stream-shards";
import { collectGarbage } from "#coordinator/store-keeping/collect-garbage";
import { checkDependents, removeRun } from "#coordinator/store-keeping/remove-run";
import { drawDataset, writeFiles } from "../../../support/images/dataset.js";
import {
  ExtractingWorker,
  featuresOf,
  openDevice,
  storeWithSmallBackbone,
  type Extracted,
} from "../../../support/runs/extraction.js";
import { fileHashes } from "../../../support/files/file-hashes.js";
import { temporaryFolder } from "../../../support/files/temp-folder.js";

const folder = await temporaryFolder("store-keeping");
const dataset = join(folder, "data");
const dayMs = 24 * 3600 * 1000;
const foreign = "features/README.txt";
const device = openDevice();
let scenes = 0;

/** A store with two finished runs, `small` and `grown`, of which the second has most of the first one's pictures. */
class Scene {
  private constructor(
    readonly path: string,
    readonly store: ObjectStore,
    readonly worker: ExtractingWorker,
    readonly small: Extracted,
    readonly grown: Extracted,
  ) {}

  static async open(): Promise<Scene> {
    const path = join(folder, `store-${(scenes += 1)}`);
    const store = await storeWithSmallBackbone(path);
    const worker = new ExtractingWorker(store, device);
    const small = await worker.extract("small", dataset);
    await finish(store, small);
    const grown = await worker.extract("grown", dataset, { shardSize: 3 });
    await finish(store, grown);
    await store.put(foreign, Buffer.from("mine"));
    return new Scene(path, store, worker, small, grown);
  }

  /** As somebody would a week later, unless it says otherwise. */
  collect(options: { remove: boolean; inMs?: number; withBackbones?: boolean; store?: ObjectStore }) {
    return collectGarbage({
      store: options.store ?? this.store,
      remove: options.remove,
      withBackbones: options.withBackbones ?? false,
      olderThanMs: dayMs,
      nowMs: Date.now() + (options.inMs ?? 7 * dayMs),
    });
  }
}

/** What the stages behind extraction leave of a run, as far as it says that the run is complete. */
async function finish(store: ObjectStore, { config, shards, images }: Extracted): Promise<void> {
  const keys = runKeys(config.id);
  await writeListing(store, keys.listing, {
    ...{ formatVersion: 1, shards: shards.length, listed: images, images },
    ...{ skipped: 0, sizeBytes: 0 },
  });
  await store.put(`${keys.bundle}/${bundleFiles.manifest}`, Buffer.from("{}"));
  const split = `splits/${sha256Hex("data")}/${config.id}/00000.json`;
  await store.put(split, Buffer.from(JSON.stringify({ validation: [] })));
}

before(async () => {
  await writeFiles(dataset, await drawDataset(["glass", "paper"], { to: 5 }));
});

describe("what nothing in a store refers to", () => {
  const open = (): Promise<Scene> => Scene.open();
  after(() => device.stop());

  it("is nothing while all runs stand, whatever their shards share", async () => {
    const { store, collect } = bound(await open());
    const report = await collect({ remove: true });
    assert.deepEqual([report.objects, report.young, report.byKind], [0, 0, {}]);
    assert.notEqual(await store.head(foreign), undefined);
  });

  it("is the features and validation keys of a removed run, told first and removed marker by marker", async () => {
    const { path, store, small, grown, worker, collect } = bound(await open());
    const kept = await featuresOf(store, grown);
    await removeRun(store, { kind: "run", id: "small" });
    assert.equal(await store.head(runKeys("small").config), undefined);
    const before = await fileHashes(path);
    const told = await collect({ remove: false });
    assert.deepEqual(await fileHashes(path), before);
    const { features, splits } = told.byKind;
    assert.deepEqual([features?.objects, splits?.objects], [2 * small.shards.length, 1]);
    const { store: watched, deleted } = watching(store);
    const done = await collect({ remove: true, store: watched });
    assert.deepEqual(done, { ...told, removed: true });
    for (const key of deleted.filter((name) => name.endsWith(".safetensors")))
      assert.ok(deleted.indexOf(`${key}.json`) < deleted.indexOf(key), key);
    assert.deepEqual(await featuresOf(store, grown), kept);
    assert.equal((await collect({ remove: true })).objects, 0);
    // What was collected is gone for the worker that knew it as well, and comes from the other run.
    const again = await worker.extract("again", dataset);
    assert.deepEqual([again.computed, again.reused], [0, again.images]);
  });

  it("does not count what is young, nor any features of a run that is not complete", async () => {
    const { store, collect } = bound(await open());
    await removeRun(store, { kind: "run", id: "small" });
    const young = await collect({ remove: true, inMs: 0 });
    assert.equal(young.objects, 0);
    assert.ok(young.young > 0);
    await store.delete([`${runKeys("grown").bundle}/${bundleFiles.manifest}`]);
    const unfinished = await collect({ remove: false });
    assert.equal(unfinished.byKind.features, undefined);
  });

  it("is what killed writers left", async () => {
    const { path, store, small, collect } = bound(await open());
    const other = "0".repeat(64);
    const { fingerprint } = small.config;
    await store.put(featureShardKey(other, other), Buffer.from("data without a marker"));
    await writeWithMarker(store, featureShardKey(fingerprint, other), Buffer.from("soon without data"));
    await store.delete([featureShardKey(fingerprint, other)]);
    await store.put("runs/half/labels.json", Buffer.from("{}"));
    await store.put("scorings/half/shards/00000.json", Buffer.from("{}"));
    await store.put("backbones/half@000000000000/model.onnx", Buffer.from("half"));
    await mkdir(join(path, "runs/half/shards"), { recursive: true });
    const dead = ".trommel-partial-elsewhere-1-1-x";
    await writeFile(join(path, "runs/half/shards", dead), "half");
    const { byKind } = await collect({ remove: true });
    assert.deepEqual([byKind.incomplete?.objects, byKind.runs?.objects], [3, 2]);
    // On another host only age tells that its writer is dead, and it is a minute old.
    assert.equal(byKind.partials, undefined);
    const ours = (await readdir(join(path, "runs/half/shards")))[0];
    assert.equal(ours, dead);
  });

  it("is a backbone that no run uses, where that is asked for", async () => {
    const { store, collect } = bound(await open());
    await store.put("backbones/idle@000000000000/spec.json", Buffer.from("{}"));
    await store.put("backbones/idle@000000000000/model.onnx", Buffer.from("idle"));
    assert.equal((await collect({ remove: true })).objects, 0);
    const { byKind } = await collect({ remove: true, withBackbones: true });
    assert.deepEqual(byKind, { backbones: { objects: 2, sizeBytes: 6 } });
  });

  it("is looked for again where a run is opened meanwhile", async () => {
    const { store, small, collect } = bound(await open());
    const features = await featuresOf(store, small);
    await removeRun(store, { kind: "run", id: "small" });
    const { store: watched, deleted } = watching(store, async (prefix) => {
      const key = runKeys("meanwhile").config;
      const config = { ...small.config, id: "meanwhile" };
      if (prefix === "splits/") await store.put(key, Buffer.from(JSON.stringify(config)), { ifAbsent: true });
    });
    const report = await collect({ remove: true, store: watched });
    assert.equal(report.byKind.features, undefined);
    assert.deepEqual(deleted, [`splits/${sha256Hex("data")}/small/00000.json`]);
    assert.deepEqual(await featuresOf(store, small), features);
  });

  it("is nothing where a run cannot be read", async () => {
    const { store, collect } = bound(await open());
    await store.put(runKeys("small").config, Buffer.from("{"));
    await assert.rejects(collect({ remove: true }), /runs\/small\/run\.json/);
  });

  it("is no run that an unfinished retry needs", async () => {
    const { store, small } = await open();
    const retry = { ...small.config, id: "retry", retryOf: { run: "small", reasons: null } };
    await store.put(runKeys("retry").config, Buffer.from(JSON.stringify(retry)));
    await assert.rejects(checkDependents(store, { kind: "run", id: "small" }), /retry, which needs it/);
    assert.deepEqual(await checkDependents(store, { kind: "run", id: "grown" }), []);
  });
});

/** The scene with its method as a function. */
function bound(scene: Scene) {
  const { path, store, worker, small, grown } = scene;
  return { path, store, worker, small, grown, collect: scene.collect.bind(scene) };
}

/** A store that tells what is removed, and may do something at each listing. */
function watching(
  store: ObjectStore,
  onList: (prefix: string) => Promise<unknown> = () => Promise.resolve(),
): { store: ObjectStore; deleted: string[] } {
  const deleted: string[] = [];
  const watched: ObjectStore = {
    url: store.url,
    get: (key, options) => store.get(key, options),
    put: (key, body, options) => store.put(key, body, options),
    putStream: (key, chunks, options) => store.putStream(key, chunks, options),
    head: (key) => store.head(key),
    copyFrom: (from, key, as, options) => store.copyFrom(from, key, as, options),
    sweep: (remove) => store.sweep(remove),
    async *list(prefix, options) {
      await onList(prefix);
      yield* store.list(prefix, options);
    },
    delete: async (keys) => {
      deleted.push(...keys);
      await store.delete(keys);
    },
    close: () => undefined,
  };
  return { store: watched, deleted };
}
