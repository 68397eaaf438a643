import assert from "node:assert/strict";
import { copyFile, cp, readdir, readFile, rename, rm, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { featureShardKey, type ObjectStore, type RecipeInput } from "@trommel/common";
import { badFiles, drawDataset, writeFiles } from "../../../support/images/dataset.js";
import {
  ExtractingWorker,
  featuresOf,
  openDevice,
  storeWithSmallBackbone,
  type Extracted,
} from "../../../support/runs/extraction.js";
import { assertSameFiles } from "../../../support/files/file-hashes.js";
import { temporaryFolder } from "../../../support/files/temp-folder.js";

const folder = await temporaryFolder("extract-reuse");
const labels = ["glass", "paper"];
const perClass = 7;
const device = openDevice();
const images = labels.length * perClass;
/** Views that move nothing. */
const still = { rotation: 0, shiftX: 0, shiftY: 0, zoom: 0 };

/** A store with a run `first` on a dataset of its own, and the worker that made it. */
class Scene {
  static #count = 0;
  readonly dataset: string;

  private constructor(
    readonly root: string,
    readonly store: ObjectStore,
    readonly first: Extracted,
  ) {
    this.dataset = join(root, "data");
  }

  static async open(given: Partial<RecipeInput> = {}): Promise<Scene> {
    const root = join(folder, `scene-${(Scene.#count += 1)}`);
    await cp(join(folder, "data"), join(root, "data"), { recursive: true, preserveTimestamps: true });
    const store = await storeWithSmallBackbone(join(root, "store"));
    const worker = new ExtractingWorker(store, device);
    const first = await worker.extract("first", join(root, "data"), given);
    assert.deepEqual(counts(first), [images, images, 0, 0]);
    return new Scene(root, store, first);
  }

  /** As another worker, which has seen nothing of it, would extract it. */
  async extract(id: string, dataset = this.dataset, given: Partial<RecipeInput> = {}): Promise<Extracted> {
    return new ExtractingWorker(this.store, device).extract(id, dataset, given);
  }

  /** Holds a run's features and their markers against those of a store that has nothing else. */
  async assertAsFresh(run: Extracted, compared: RegExp = /./): Promise<void> {
    const store = await storeWithSmallBackbone(join(this.root, `fresh-${run.config.id}`));
    const worker = new ExtractingWorker(store, device);
    const { dataset, recipe } = run.config;
    const fresh = await worker.extract(run.config.id, dataset.replace("file://", ""), recipe);
    assert.ok(fresh.computed > 0);
    const [found, expected] = [await featuresOf(this.store, run), await featuresOf(store, fresh)].map(
      (features) => new Map([...features].filter(([key]) => compared.test(key))),
    ) as [Map<string, string>, Map<string, string>];
    assert.ok(found.size >= run.shards.length);
    assertSameFiles(found, expected);
  }
}

/** Images, those that the device computed, those reused, those failed. */
function counts({ images, computed, reused, failed }: Extracted): number[] {
  return [images, computed, reused, failed];
}

before(async () => {
  await writeFiles(join(folder, "data"), await drawDataset(labels, { to: perClass }));
});

describe("the rows of pictures that stand in other feature shards", () => {
  const open = (given: Partial<RecipeInput> = {}): Promise<Scene> => Scene.open(given);
  after(() => device.stop());

  it("are copied where a dataset grew, shrank and was touched: only what is new is computed", async () => {
    const scene = await open();
    const { dataset } = scene;
    await writeFiles(dataset, await drawDataset(["aaa", "metal"], { to: 2 }, 7));
    await rm(join(dataset, "glass/003.png"));
    await utimes(join(dataset, "glass/001.png"), 1e9, 1e9);
    const grown = await scene.extract("grown");
    assert.deepEqual(counts(grown), [images + 3, 4, images - 1, 0]);
    await scene.assertAsFresh(grown);
    const again = await scene.extract("other-head", dataset, { head: { type: "linear" } });
    assert.deepEqual(counts(again), [images + 3, 0, images + 3, 0]);
  });

  it("are copied whatever the cut into shards, from several shards and twice over", async () => {
    const scene = await open();
    const wide = await scene.extract("wide", scene.dataset, { shardSize: 11 });
    assert.deepEqual(counts(wide), [images, 0, images, 0]);
    await scene.assertAsFresh(wide);
    const narrow = await scene.extract("narrow", scene.dataset, { shardSize: 3 });
    assert.deepEqual(counts(narrow), [images, 0, images, 0]);
    await scene.assertAsFresh(narrow);
  });

  it("are copied where the pictures lie elsewhere under the same keys", async () => {
    const scene = await open({ featureType: "f16" });
    const elsewhere = join(scene.root, "elsewhere");
    await cp(scene.dataset, elsewhere, { recursive: true });
    const moved = await scene.extract("moved", elsewhere, { featureType: "f16" });
    assert.deepEqual(counts(moved), [images, 0, images, 0]);
    await scene.assertAsFresh(moved);
  });

  it("are not those of another seed, type of number, or views", async () => {
    const scene = await open();
    for (const [id, given] of Object.entries({
      seed: { seed: 1 },
      half: { featureType: "f16" },
      views: { views: { count: 3, rotation: 1 } },
    } as const)) {
      const other = await scene.extract(id, scene.dataset, given);
      assert.deepEqual(counts(other), [images, images, 0, 0], id);
    }
  });

  it("belong to a key where views are drawn from it, and to the content alone where none is drawn", async () => {
    const move = async (dataset: string): Promise<void> => {
      await rename(join(dataset, "glass/000.png"), join(dataset, "paper/moved.png"));
      await copyFile(join(dataset, "paper/001.png"), join(dataset, "glass/copied.png"));
    };
    const drawn = await open();
    await move(drawn.dataset);
    const redrawn = await drawn.extract("moved");
    assert.deepEqual(counts(redrawn), [images + 1, 2, images - 1, 0]);
    await drawn.assertAsFresh(redrawn);

    const views: RecipeInput["views"] = { count: 2, ...still, horizontalFlip: "alternate" };
    const plain = await open({ views });
    await move(plain.dataset);
    const kept = await plain.extract("moved", plain.dataset, { views });
    assert.deepEqual(counts(kept), [images + 1, 0, images + 1, 0]);
    await plain.assertAsFresh(kept);
  });

  it("are not taken for those of another picture of the same key, size, time and place elsewhere", async () => {
    const scene = await open();
    const elsewhere = join(scene.root, "elsewhere");
    await cp(scene.dataset, elsewhere, { recursive: true, preserveTimestamps: true });
    const file = join(elsewhere, "glass/002.png");
    const bytes = await readFile(file);
    const other = await readFile(join(scene.dataset, "glass/004.png"));
    const longest = Buffer.alloc(Math.max(bytes.length, other.length));
    // What follows a PNG's end is not looked at: both have one size.
    for (const [place, body] of [
      [scene.dataset, bytes],
      [elsewhere, other],
    ] as const) {
      const padded = Buffer.from(longest);
      body.copy(padded);
      await writeFile(join(place, "glass/002.png"), padded);
      await utimes(join(place, "glass/002.png"), 1e9, 1e9);
    }
    // Shards are known by what is listed; this one is another.
    await utimes(join(elsewhere, "glass/001.png"), 1e9, 1e9);
    await scene.extract("padded");
    const another = await scene.extract("another", elsewhere);
    assert.equal(another.computed, 1);
    // Shards that two places list alike stand once, with the marker of the first.
    await scene.assertAsFresh(another, /\.safetensors$/);
  });

  it("are refused where another folder lists a whole shard alike and has other pictures", async () => {
    const scene = await open();
    const elsewhere = join(scene.root, "elsewhere");
    await cp(scene.dataset, elsewhere, { recursive: true });
    const list = async (place: string): Promise<void> => {
      for (const label of labels)
        for (const name of await readdir(join(place, label)))
          await utimes(join(place, label, name), 1e9, 1e9);
    };
    await list(scene.dataset);
    await list(elsewhere);
    const one = await scene.extract("one");
    const same = await scene.extract("same", elsewhere);
    assert.deepEqual(counts(same), [images, 0, images, 0]);
    assert.deepEqual(
      same.shards.map(({ hash }) => hash),
      one.shards.map(({ hash }) => hash),
    );
    const file = join(elsewhere, "glass/002.png");
    const bytes = await readFile(file);
    // The end's checksum: another file, of the same size.
    bytes[bytes.length - 1]! ^= 1;
    await writeFile(file, bytes);
    await list(elsewhere);
    await assert.rejects(scene.extract("other", elsewhere), /glass\/002\.png.* is another picture/);
  });

  it("do not hide failed files: each run tries them again, and counts them", async () => {
    const scene = await open();
    const bad = new Map([...(await badFiles())].map(([name, { bytes }]) => [`glass/${name}`, bytes]));
    await writeFiles(scene.dataset, bad);
    const first = await scene.extract("bad");
    assert.deepEqual(counts(first), [images + bad.size, 0, images, bad.size]);
    await scene.assertAsFresh(first);
    const second = await scene.extract("bad-again", scene.dataset, { shardSize: 5 });
    assert.deepEqual(counts(second), [images + bad.size, 0, images, bad.size]);
    await scene.assertAsFresh(second);
  });

  it("are computed again where the shard that has them is damaged or gone", async () => {
    const scene = await open();
    const [damaged, gone] = scene.first.shards.map(({ hash }) =>
      featureShardKey(scene.first.config.fingerprint, hash),
    ) as [string, string];
    const bytes = Uint8Array.from(await scene.store.get(damaged));
    bytes[bytes.length - 100]! ^= 1;
    await scene.store.put(damaged, bytes);
    await scene.store.delete([gone]);
    const wide = await scene.extract("wide", scene.dataset, { shardSize: 6 });
    assert.deepEqual(counts(wide), [images, 8, images - 8, 0]);
    await scene.assertAsFresh(wide);
  });

  it("are left alone where a marker of an earlier version does not say whose they are", async () => {
    const scene = await open();
    for (const { hash } of scene.first.shards) {
      const key = `${featureShardKey(scene.first.config.fingerprint, hash)}.json`;
      const marker = JSON.parse(Buffer.from(await scene.store.get(key)).toString()) as { images?: unknown };
      assert.notEqual(marker.images, undefined);
      delete marker.images;
      await scene.store.put(key, Buffer.from(JSON.stringify(marker)));
    }
    const same = await scene.extract("same");
    assert.deepEqual(counts(same), [images, 0, images, 0]);
    const wide = await scene.extract("wide", scene.dataset, { shardSize: 5 });
    assert.deepEqual(counts(wide), [images, images, 0, 0]);
  });
});
