import assert from "node:assert/strict";
import { cp } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import {
  bundleFiles,
  canonicalJson,
  openStore,
  runKeys,
  sha256Hex,
  writeWithMarker,
  type ObjectStore,
  type RunConfig,
} from "@trommel/common";
import { parseShard } from "#common/artefacts/shards/parse-shard";
import { jsonBytes } from "#common/codec/json-artefact";
import { readMarker } from "#common/codec/marker";
import { bundle } from "#gpu-worker/stages/bundle";
import type { DeviceStageContext } from "#gpu-worker/stages/context";
import { extract } from "#gpu-worker/stages/extract";
import { measure } from "#gpu-worker/stages/measure";
import { normalize } from "#gpu-worker/stages/normalize";
import { train } from "#gpu-worker/stages/train";
import { drawDataset, writeFiles } from "../../../support/images/dataset.js";
import { ExtractingWorker, openDevice, storeWithSmallBackbone } from "../../../support/runs/extraction.js";
import { stepsOf } from "../../../support/runs/step-training.js";
import { temporaryFolder } from "../../../support/files/temp-folder.js";

const folder = await temporaryFolder("other-writers");
const data = join(folder, "data");
const labels = ["glass", "paper"];
const perClass = 9;
const keys = runKeys("r");
const shardCount = 3;
const given = {
  shardSize: (labels.length * perClass) / shardCount,
  views: { count: 2 },
  svd: null,
  normalization: "dataset" as const,
  head: { type: "linear" as const },
  training: { epochs: 2, batchSize: 4 },
};

/** An artefact, and what its marker says beside the usual. */
interface Written {
  readonly bytes: Uint8Array;
  readonly extra: Readonly<Record<string, unknown>>;
}

interface Training {
  readonly head: Written;
  readonly metrics: Written;
}

describe("a run whose stages find the bytes of a worker with other hardware", () => {
  const device = openDevice();
  let ours: Training;
  let theirs: Training;
  let count = 0;

  before(async () => {
    await writeFiles(data, await drawDataset(labels, { to: perClass }));
    await storeWithSmallBackbone(join(folder, "planned"));
    const planned = worker("planned");
    await plan(planned, "planned");
    await cp(join(folder, "planned"), join(folder, "extracted"), { recursive: true });
    await statistics("extracted");
    await extraction("extracted");
    // Another rate stands for other hardware: another head, and other figures of it.
    ours = await training(await copyOf("extracted"));
    const other = await copyOf("extracted");
    const config = JSON.parse(
      Buffer.from(await openStore(join(folder, other)).get(keys.config)).toString(),
    ) as RunConfig;
    const { optimizer, ...rest } = stepsOf(config.recipe.training);
    const changed = { ...optimizer, learningRate: 2 * optimizer.learningRate };
    await openStore(join(folder, other)).put(
      keys.config,
      Buffer.from(
        canonicalJson({ ...config, recipe: { ...config.recipe, training: { ...rest, optimizer: changed } } }),
      ),
    );
    theirs = await training(other);
    assert.notDeepEqual(ours.head.bytes, theirs.head.bytes);
    assert.notDeepEqual(ours.metrics.bytes, theirs.metrics.bytes);
  });
  after(() => device.stop());

  it("sums again where the statistics are of a listing that failed and was made again", async () => {
    const name = await copyOf("planned");
    const store = openStore(join(folder, name));
    const context = worker(name).context();
    await measure("r", 0, context);
    const other = parseShard(await store.get(keys.shard(1)), keys.shard(1));
    await store.put(keys.shard(0), jsonBytes({ ...other, index: 0 }));
    await measure("r", 0, context);
    const written = await store.get(keys.statistics(0));
    assert.deepEqual(written, await openStore(join(folder, "extracted")).get(keys.statistics(1)));
  });

  it("takes the statistics and the normalisation that were committed first", async () => {
    const undisturbed = openStore(join(folder, "extracted"));
    const name = await copyOf("planned");
    const store = openStore(join(folder, name));
    const key = keys.statistics(1);
    const statistic = await changedNumbers(undisturbed, key);
    await statistics(name, [{ key, written: statistic }]);
    await holds(store, key, statistic);
    assert.notDeepEqual(await store.get(keys.normalization), await undisturbed.get(keys.normalization));

    const normalization = await changedNumbers(undisturbed, keys.normalization);
    await store.delete([`${keys.normalization}.json`, keys.normalization]);
    const context = { ...worker(name).context(), store: overtaken(store, keys.normalization, normalization) };
    await normalize("r", context);
    await holds(store, keys.normalization, normalization);
    await extraction(name);
    await train("r", worker(name).context());
    await bundle("r", worker(name).context());
    const { mean } = JSON.parse(Buffer.from(normalization.bytes).toString()) as { mean: number[] };
    const manifest = JSON.parse(
      Buffer.from(await store.get(`${keys.bundle}/${bundleFiles.manifest}`)).toString(),
    ) as { backbones: { normalization: { mean: number[] } }[] };
    assert.deepEqual(manifest.backbones[0]?.normalization.mean, mean);
  });

  it("replaces a head that was left without metrics", async () => {
    const store = await extracted();
    await put(store, keys.head, theirs.head);
    await trainAndBundle(store, ours);
    const { sha256, ...marker } = await readMarker(store, keys.head);
    assert.equal(marker["replaces"], sha256Hex(theirs.head.bytes));
    assert.equal((await readMarker(store, keys.metrics))["head"], sha256);
  });

  it("replaces a head without a marker, and metrics without a head", async () => {
    const unmarked = await extracted();
    await unmarked.put(keys.head, theirs.head.bytes);
    await trainAndBundle(unmarked, ours);
    const headless = await extracted();
    await put(headless, keys.metrics, theirs.metrics);
    await trainAndBundle(headless, ours);
  });

  it("replaces metrics that came without a head while it was training", async () => {
    const store = await extracted();
    await train("r", contextOf(overtaken(store, keys.head, theirs.metrics, keys.metrics)));
    await bundleHas(store, ours);
  });

  it("keeps the head and the metrics of a worker that was done first", async () => {
    const store = await extracted();
    const both = overtaken(overtaken(store, keys.head, theirs.metrics, keys.metrics), keys.head, theirs.head);
    await train("r", contextOf(both));
    await bundleHas(store, theirs);
  });

  it("does not take the metrics of a worker whose head it has replaced", async () => {
    const store = await extracted();
    await put(store, keys.head, theirs.head);
    await train("r", contextOf(overtaken(store, keys.metrics, theirs.metrics)));
    await bundleHas(store, ours);
  });

  it("gives way to a worker that replaced its head", async () => {
    const store = await extracted();
    const replaced = async (): Promise<void> => {
      await store.delete([`${keys.head}.json`, keys.head]);
      await put(store, keys.head, replacement(theirs, ours));
      await put(store, keys.metrics, bound(theirs));
    };
    await train("r", contextOf(doingFirst(store, keys.metrics, replaced)));
    await bundleHas(store, theirs);
  });

  it("bundles no head with the metrics of another, and trains again once it is resumed", async () => {
    const store = await extracted();
    await put(store, keys.head, replacement(ours, theirs));
    await put(store, keys.metrics, theirs.metrics);
    await assert.rejects(bundle("r", contextOf(store)), { code: "missing-input", message: /resume the run/ });
    await trainAndBundle(store, ours);
  });

  it("names no head in an undisturbed run", async () => {
    const store = await extracted();
    await trainAndBundle(store, ours);
    assert.equal((await readMarker(store, keys.head))["replaces"], undefined);
    assert.equal((await readMarker(store, keys.metrics))["head"], undefined);
  });

  function worker(name: string): ExtractingWorker {
    return new ExtractingWorker(openStore(join(folder, name)), device);
  }

  async function copyOf(name: string): Promise<string> {
    const copy = `copy-${(count += 1)}`;
    await cp(join(folder, name), join(folder, copy), { recursive: true });
    return copy;
  }

  async function extracted(): Promise<ObjectStore> {
    return openStore(join(folder, await copyOf("extracted")));
  }

  function contextOf(store: ObjectStore): DeviceStageContext {
    return new ExtractingWorker(store, device).context();
  }

  async function statistics(
    name: string,
    others: readonly { key: string; written: Written }[] = [],
  ): Promise<void> {
    let store = openStore(join(folder, name));
    for (const { key, written } of others) store = overtaken(store, key, written);
    const context = { ...worker(name).context(), store };
    for (let shard = 0; shard < shardCount; shard += 1) await measure("r", shard, context);
    await normalize("r", context);
  }

  async function extraction(name: string): Promise<void> {
    const context = worker(name).context();
    for (let shard = 0; shard < shardCount; shard += 1) await extract("r", shard, context);
  }

  async function training(name: string): Promise<Training> {
    const store = openStore(join(folder, name));
    await train("r", contextOf(store));
    return { head: await readWritten(store, keys.head), metrics: await readWritten(store, keys.metrics) };
  }

  async function trainAndBundle(store: ObjectStore, expected: Training): Promise<void> {
    await train("r", contextOf(store));
    await bundleHas(store, expected);
  }

  async function bundleHas(store: ObjectStore, { head, metrics }: Training): Promise<void> {
    await bundle("r", contextOf(store));
    const file = async (name: string) => sha256Hex(await store.get(`${keys.bundle}/${name}`));
    assert.deepEqual(
      [await file(bundleFiles.head), await file(bundleFiles.metrics)],
      [sha256Hex(head.bytes), sha256Hex(metrics.bytes)],
    );
  }
});

async function plan(worker: ExtractingWorker, name: string): Promise<void> {
  const store = openStore(join(folder, name));
  const { shards } = await worker.plan("r", data, given);
  assert.equal(shards.length, shardCount);
  const images = labels.length * perClass;
  const classes = labels.map((label) => ({ label, images: perClass }));
  const listing = {
    formatVersion: 1,
    shards: shards.length,
    listed: images,
    images,
    skipped: 0,
    sizeBytes: 0,
  };
  await store.put(keys.listing, Buffer.from(canonicalJson({ ...listing, classes })));
  // The first picture of each class, which are the first of all and of the second half.
  const validation = shards.map(({ entries }) =>
    [...entries.keys()].filter((position) => entries[position]?.key.endsWith("/000.png")),
  );
  await store.put(
    keys.split,
    Buffer.from(canonicalJson({ formatVersion: 2, seed: 0, fraction: 0.2, validation })),
  );
}

async function readWritten(store: ObjectStore, key: string): Promise<Written> {
  const {
    formatVersion: _version,
    key: _key,
    sha256: _sha256,
    sizeBytes: _sizeBytes,
    ...extra
  } = await readMarker(store, key);
  return { bytes: await store.get(key), extra };
}

async function holds(store: ObjectStore, key: string, { bytes }: Written): Promise<void> {
  assert.equal(sha256Hex(await store.get(key)), sha256Hex(bytes));
}

async function put(store: ObjectStore, key: string, { bytes, extra }: Written): Promise<void> {
  await writeWithMarker(store, key, bytes, extra);
}

/** The head of one training as it is written where that of another was. */
function replacement({ head }: Training, other: Training): Written {
  return { ...head, extra: { ...head.extra, replaces: sha256Hex(other.head.bytes) } };
}

/** The metrics of a training as they are written beside a head that replaced another. */
function bound({ head, metrics }: Training): Written {
  return { ...metrics, extra: { ...metrics.extra, head: sha256Hex(head.bytes) } };
}

/** An artefact of numbers, the first of which is a little different. */
async function changedNumbers(store: ObjectStore, key: string): Promise<Written> {
  const { bytes, extra } = await readWritten(store, key);
  const text = Buffer.from(bytes).toString();
  const changed = text.replace(/\[(\d+)/, (_, digits: string) => `[${Number(digits) + 1}`);
  assert.notEqual(changed, text);
  return { bytes: Buffer.from(changed), extra };
}

/** A store in which another worker commits an artefact right before ours is first written. */
function overtaken(store: ObjectStore, at: string, written: Written, key = at): ObjectStore {
  return doingFirst(store, at, () => put(store, key, written));
}

/** A store that does something right before a key is first written. */
function doingFirst(store: ObjectStore, at: string, first: () => Promise<void>): ObjectStore {
  let done = false;
  return new Proxy(store, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== "function") return value;
      if (name !== "put") return (value as () => unknown).bind(target);
      return async (...given: Parameters<ObjectStore["put"]>) => {
        if (given[0] === at && !done) {
          done = true;
          await first();
        }
        return target.put(...given);
      };
    },
  });
}
