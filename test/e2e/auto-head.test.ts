import assert from "node:assert/strict";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { runKeys, type Shard } from "@trommel/common";
import { decodeFoldResult, noFold, testPart, type Choice, type FoldSplit } from "@trommel/common/artefacts";
import { drawDataset, writeFiles } from "../support/images/dataset.js";
import { temporaryFolder } from "../support/files/temp-folder.js";
import { storeWithTinyBackbone, tinyBackbone } from "../support/models/tiny-backbone.js";
import { trommel, trommelJson } from "../support/process/cli.js";

/** `head: auto` by the command line: what it divides, chooses, measures and serves, counted anew from its artefacts. */

const labels = ["glass", "metal", "paper"];
const perClass = 20;
const folder = await temporaryFolder("auto-head");
const dataset = join(folder, "labelled");
let store = "";
/** Images in the test part of the first run. */
let tested = 0;

interface Answer {
  readonly phase: string;
  readonly accuracy: number;
  readonly ledger: { readonly ok: number; readonly failed: number };
}

const settings = [
  ...["--views", "2", "--shard-size", "16", "--workers", "1"],
  ...["--set", "head.effort=quick", "--set", "split.test=0.2"],
];

async function train(run: string, ...more: string[]): Promise<Answer> {
  const args = [
    "train",
    dataset,
    "--backbone",
    tinyBackbone.name,
    "--run",
    run,
    "--store",
    store,
    ...settings,
  ];
  return (await trommelJson([...args, "--json", ...more])) as Answer;
}

const readJson = async <T>(key: string): Promise<T> =>
  JSON.parse(await readFile(join(store, key), "utf8")) as T;

async function readShards(run: string): Promise<Shard[]> {
  const { shards } = await readJson<{ shards: number }>(runKeys(run).listing);
  return Promise.all(
    Array.from({ length: shards }, (_, index) => readJson<Shard>(runKeys(run).shard(index))),
  );
}

/** The part of each image by its key. */
async function partsOf(run: string): Promise<Map<string, number>> {
  const { parts } = await readJson<FoldSplit>(runKeys(run).split);
  const shards = await readShards(run);
  return new Map(
    shards.flatMap(({ entries }, index) =>
      entries.map(({ key }, position) => [key, parts[index]?.[position] ?? Number.NaN] as const),
    ),
  );
}

before(async () => {
  store = await storeWithTinyBackbone(folder);
  const images = await drawDataset(labels, { to: perClass });
  // One image in five lies in the wrong folder, so that there is something to get wrong.
  for (const [at, label] of labels.entries()) {
    const wrong = await drawDataset(
      labels.slice(at + 1).concat(labels.slice(0, at + 1)),
      { to: perClass },
      7,
    );
    for (let number = 0; number < perClass; number += 5) {
      const name = `${String(number).padStart(3, "0")}.png`;
      images.set(
        `${label}/${name}`,
        wrong.get(`${labels[(at + 1) % labels.length]}/${name}`) ?? Buffer.alloc(0),
      );
    }
  }
  // The same bytes under another name, a broken file, and a class of which one image is like one of another class.
  images.set("glass/copy.png", images.get("glass/003.png") ?? Buffer.alloc(0));
  images.set("paper/stray.png", images.get("metal/006.png") ?? Buffer.alloc(0));
  images.set("metal/broken.png", Buffer.from("no image"));
  await writeFiles(dataset, images);
});

describe("head: auto", () => {
  it("is the default, and predicts every image by heads that never saw it or a copy of it", async () => {
    const answer = await train("first");
    assert.equal(answer.phase, "complete");
    assert.deepEqual([answer.ledger.ok, answer.ledger.failed], [62, 1]);
    const parts = await partsOf("first");
    assert.equal(parts.get("metal/broken.png"), noFold);
    assert.equal(parts.get("glass/copy.png"), parts.get("glass/003.png"));
    assert.equal(parts.get("paper/stray.png"), parts.get("metal/006.png"));
    const sizes = new Map<number, number>();
    for (const part of parts.values()) sizes.set(part, (sizes.get(part) ?? 0) + 1);
    assert.deepEqual(
      [...sizes.keys()].sort((a, b) => a - b),
      [testPart, noFold, 0, 1, 2, 3, 4],
    );
    // A fifth of each class; a group of two classes may be one too many.
    tested = sizes.get(testPart) ?? 0;
    assert.ok(tested === 12 || tested === 13, `${tested} of 62`);
  });

  it("reports the figures that its out-of-fold predictions come to", async () => {
    const choice = await readJson<Choice>(runKeys("first").choice);
    const at = choice.candidates.findIndex(({ chosen }) => chosen);
    const shards = await readShards("first");
    let [right, images] = [0, 0];
    for (let job = 0; job < choice.folds; job += 1) {
      const bytes = await readFile(join(store, runKeys("first").fold(job)));
      const { heldOut } = decodeFoldResult(bytes, "a fold");
      const logits = heldOut.logits[at] ?? new Float32Array();
      for (const [row, shard] of heldOut.shard.entries()) {
        const key = shards[shard]?.entries[heldOut.position[row] ?? -1]?.key ?? "";
        const own = [...logits.subarray(row * labels.length, (row + 1) * labels.length)];
        if (labels[own.indexOf(Math.max(...own))] === key.split("/")[0]) right += 1;
        images += 1;
      }
    }
    assert.equal(choice.outOfFold.images, images);
    assert.equal(images, 62 - tested);
    assert.ok(Math.abs(choice.outOfFold.accuracy.value - right / images) < 1e-12);
    for (const { value, low, high } of [choice.outOfFold.accuracy, choice.outOfFold.logLoss])
      assert.ok(low <= value && value <= high && low < high, `${low} ${value} ${high}`);
    assert.equal(choice.test?.images, tested);
    assert.equal(choice.learningCurve?.points.length, 4);
  });

  it("says so to people, and in the report", async () => {
    const args = ["train", dataset, "--backbone", tinyBackbone.name, "--run", "first", "--store", store];
    const { stdout } = await trommel([...args, ...settings]);
    assert.match(stdout, new RegExp(`first: out-of-fold accuracy 0\\.\\d+, .* on ${62 - tested} images`));
    const report = await readFile(join(store, "runs/first/bundle/report.html"), "utf8");
    assert.match(report, /chosen among 3 candidates/);
    assert.match(report, /test part/);
  });

  it("gives a model that predicts the images of the test part as the report says", async () => {
    const choice = await readJson<Choice>(runKeys("first").choice);
    const parts = await partsOf("first");
    const keys = [...parts].flatMap(([key, part]) => (part === testPart ? [join(dataset, key)] : []));
    const { rows } = (await trommelJson([
      ...["predict", ...keys, "--model", join(store, "runs/first/bundle"), "--json"],
    ])) as { rows: { file?: string; key?: string; label: string }[] };
    const right = rows.filter(({ label }, at) => keys[at]?.includes(`/${label}/`)).length;
    assert.ok(Math.abs((choice.test?.accuracy.value ?? 0) - right / keys.length) < 1e-9);
  });

  it("keeps folds and test part in a retry, and gives the repaired image a part", async () => {
    const before = await partsOf("first");
    const [repaired] = (await drawDataset(["metal"], { from: 90, to: 91 })).values();
    await writeFiles(dataset, new Map([["metal/broken.png", repaired ?? Buffer.alloc(0)]]));
    const args = ["retry", "first", "--run", "retried", "--store", store, "--workers", "1", "--json"];
    const answer = (await trommelJson(args)) as Answer;
    assert.deepEqual([answer.ledger.ok, answer.ledger.failed], [63, 0]);
    const after = await partsOf("retried");
    for (const [key, part] of before) if (part !== noFold) assert.equal(after.get(key), part, key);
    assert.ok((after.get("metal/broken.png") ?? noFold) >= 0);
  });

  it("keeps the test part when the dataset grows, with a copy of its images, and says so", async () => {
    const before = await partsOf("first");
    const [kept] = [...before].find(([, part]) => part === testPart) ?? [];
    assert.ok(kept !== undefined);
    const bytes = await readFile(join(dataset, kept));
    const grown = await drawDataset(labels, { from: perClass, to: perClass + 4 });
    grown.set(kept.replace(/\/.*/, "/zz-copy.png"), bytes);
    await writeFiles(dataset, grown);
    await train("grown");
    const after = await partsOf("grown");
    for (const [key, part] of before) if (part === testPart) assert.equal(after.get(key), testPart, key);
    assert.equal(after.get(kept.replace(/\/.*/, "/zz-copy.png")), testPart);
    const { notes } = await readJson<FoldSplit>(runKeys("grown").split);
    assert.match(notes.join(" "), /1 images? (is|are) in the test part because a copy/);
  });

  it("refuses settings that it does not use", async () => {
    const { code, stderr } = await trommel([
      ...["train", dataset, "--backbone", tinyBackbone.name, "--store", store, "--epochs", "3"],
    ]);
    assert.equal(code, 2);
    assert.match(stderr, /training\.epochs has no effect with the head auto.*--head se/);
  });

  it("trains the same heads again after a fold and the choice were lost", async () => {
    const files = ["choice.json", "choice.json.json", "ensemble.safetensors", "ensemble.safetensors.json"];
    const before = await readFile(join(store, "runs/first/choice.json"), "utf8");
    const bundle = await readFile(join(store, "runs/first/bundle/model.onnx"));
    for (const file of [
      ...files,
      "folds/00001.safetensors",
      "folds/00001.safetensors.json",
      "bundle/bundle.json",
    ])
      await rm(join(store, "runs/first", file), { force: true });
    await trommelJson(["resume", "first", "--store", store, "--workers", "2", "--json"]);
    assert.equal(await readFile(join(store, "runs/first/choice.json"), "utf8"), before);
    assert.ok(bundle.equals(await readFile(join(store, "runs/first/bundle/model.onnx"))));
  });
});
