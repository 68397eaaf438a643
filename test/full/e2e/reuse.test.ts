import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { jsonInProcess, runInProcess, trommelJson } from "../../support/process/cli.js";
import { drawDataset, writeFiles, type Pictures } from "../../support/images/dataset.js";
import { fileHashes, filesBelow } from "../../support/files/file-hashes.js";
import { temporaryFolder } from "../../support/files/temp-folder.js";
import { copyBackbones, storeWithTinyBackbone, tinyBackbone } from "../../support/models/tiny-backbone.js";

/** One dataset through its life, in one store: labelled anew, grown, tried with another head, and cleared away. */

const labels = ["glass", "metal", "paper"];
const perClass = 12;
const images = labels.length * perClass;

const folder = await temporaryFolder("reuse");
const dataset = join(folder, "pictures");
const table = join(folder, "labels.csv");
const csv = ["--labels", table, "--id-column", "image", "--label-column", "material"];
let pictures: Pictures;
let store = "";

interface Trained {
  readonly phase: string;
  readonly ledger: { readonly listed: number; readonly ok: number };
  readonly extraction?: { readonly extracted: number; readonly reused: number };
}

async function train(run: string, ...more: string[]): Promise<Trained> {
  const trained = (await trommelJson(
    [
      ...["train", dataset, "--store", store, "--workers", "1", "--follow", "--run", run],
      ...[
        "--backbone",
        tinyBackbone.name,
        "--shard-size",
        "5",
        "--views",
        "3",
        "--head",
        "se",
        "--epochs",
        "2",
      ],
      ...["--step", "8", "--validation", "0.2", ...more],
    ],
    { timeoutMs: 90_000 },
  )) as Trained;
  assert.equal(trained.phase, "complete");
  return trained;
}

async function writeTable(labelOf: (key: string, index: number) => string | undefined): Promise<void> {
  const rows = [...pictures.keys()].flatMap((key, index) => {
    const label = labelOf(key, index);
    return label === undefined ? [] : [`${key},${label}`];
  });
  await writeFile(table, `image,material\n${rows.join("\n")}\n`);
}

const ownLabel = (key: string): string => key.slice(0, key.indexOf("/"));

before(async () => {
  pictures = await drawDataset(labels, { to: perClass });
  await writeFiles(dataset, pictures);
  store = await storeWithTinyBackbone(folder);
});

describe("a dataset that is trained on again and again", () => {
  it("is extracted once, and not for other labels, fewer images or another head", async () => {
    const first = await train("first");
    assert.deepEqual(first.extraction, { extracted: images, reused: 0 });
    // One picture in six changes its label, one in seven has none, so that shards are cut elsewhere.
    await writeTable((key, i) => (i % 7 === 3 ? undefined : i % 6 === 0 ? "metal" : ownLabel(key)));
    const relabelled = await train("relabelled", ...csv);
    const { ok } = relabelled.ledger;
    assert.ok(ok < images);
    assert.deepEqual(relabelled.extraction, { extracted: 0, reused: ok });
    const linear = await train("linear", "--head", "linear");
    assert.deepEqual(linear.extraction, { extracted: 0, reused: images });
  });

  it("pays for what is new alone, and comes to what it would come to in a store of its own", async () => {
    const more = await drawDataset(labels, { from: perClass, to: perClass + 2 });
    await writeFiles(dataset, more);
    const grown = await train("grown");
    assert.deepEqual(grown.extraction, { extracted: more.size, reused: images });
    const shared = store;
    store = await copyBackbones(shared, join(folder, "alone"));
    const alone = await train("grown");
    assert.deepEqual(alone.extraction, { extracted: images + more.size, reused: 0 });
    // The split is not the same, for it depends on who validated before.
    const listed = (files: ReadonlyMap<string, string>): [string, string][] =>
      [...files].filter(([file]) => /^shards|^listing/.test(file));
    assert.deepEqual(
      listed(await fileHashes(join(store, "runs/grown"))),
      listed(await fileHashes(join(shared, "runs/grown"))),
    );
    const there = await fileHashes(join(shared, "features"));
    for (const [file, hash] of await fileHashes(join(store, "features")))
      assert.equal(there.get(file), hash, file);
    store = shared;
  });

  it("is cleared away as it is told: first a run, then what only that one referred to", async () => {
    const gc = ["store", "gc", "--store", store, "--older-than", "0s"];
    const idle = (await jsonInProcess(gc)) as { objects: number };
    assert.equal(idle.objects, 0);
    const told = await runInProcess(["store", "remove", "grown", "--store", store]);
    assert.match(told.stdout, /nothing was removed yet/);
    const removed = (await jsonInProcess(["store", "remove", "grown", "--store", store, "--yes"])) as {
      removed: boolean;
      objects: number;
    };
    assert.ok(removed.removed && removed.objects > 0);
    assert.deepEqual(await filesBelow(join(store, "runs/grown")), []);
    const { stdout } = await runInProcess(["status", "--store", store]);
    assert.doesNotMatch(stdout, /grown/);
    assert.match(stdout, /relabelled \(run\) +complete/);

    const before = (await filesBelow(join(store, "features"))).length;
    const found = await runInProcess(gc);
    assert.match(found.stdout, /feature shards that no run refers to: \d+ objects/);
    const swept = (await jsonInProcess([...gc, "--yes"])) as { objects: number; removed: boolean };
    assert.ok(swept.removed);
    const left = (await filesBelow(join(store, "features"))).length;
    assert.ok(left < before, `${before} files before, ${left} after`);
    const again = await train("first-again", ...csv);
    assert.equal(again.extraction?.extracted, 0);
  });
});
