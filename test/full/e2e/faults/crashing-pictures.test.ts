import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { decodeFeatureShard, type FailedImage, type Ledger } from "@trommel/common";
import { errorLine } from "#common/artefacts/shards/ledger";
import { trommelJson } from "../../../support/process/cli.js";
import { crashPreload, marked } from "../../../support/process/crash-marks.js";
import { drawDataset, writeFiles } from "../../../support/images/dataset.js";
import { filesBelow } from "../../../support/files/file-hashes.js";
import { temporaryFolder } from "../../../support/files/temp-folder.js";
import { copyBackbones, storeWithTinyBackbone, tinyBackbone } from "../../../support/models/tiny-backbone.js";

/** Pictures that kill every process that decodes them, and workers that die of them in earnest. */

const labels = ["glass", "metal"];
const perClass = 6;
const views = 3;
const bad = new Map([
  ["glass/000.png", "abort"],
  ["metal/005.png", "kill"],
] as const);

const folder = await temporaryFolder("crashing-pictures");
const dataset = join(folder, "labelled");
let calmStore = "";
let crashStore = "";

interface Result {
  readonly phase: string;
  readonly ledger: Ledger;
}

const train = async (store: string, env: Readonly<Record<string, string>>): Promise<Result> =>
  (await trommelJson(
    [
      ...["train", dataset, "--store", store, "--workers", "2", "--run", "crash", "--seed", "3"],
      ...["--backbone", tinyBackbone.name, "--shard-size", "100", "--views", String(views)],
      ...["--head", "se", "--epochs", "3", "--step", "8", "--validation", "0.25", "--follow"],
    ],
    { env, timeoutMs: 120_000 },
  )) as Result;

/** The rows of the run's only shard by position of the image, and what failed. */
async function featuresIn(
  store: string,
): Promise<{ rows: Map<number, Float32Array[]>; failed: FailedImage[] }> {
  const files = await filesBelow(join(store, "features"));
  const [data, ...others] = files.filter((file) => file.endsWith(".safetensors"));
  assert.ok(data !== undefined);
  assert.deepEqual(others, []);
  const path = join(store, "features", data);
  const { dimension, features, image } = decodeFeatureShard(
    await readFile(path),
    path,
    tinyBackbone.dimension,
  );
  const rows = new Map<number, Float32Array[]>();
  image.forEach((position, row) => {
    const of = rows.get(position) ?? [];
    of.push(features.slice(row * dimension, (row + 1) * dimension));
    rows.set(position, of);
  });
  const marker = JSON.parse(await readFile(`${path}.json`, "utf8")) as { failed: FailedImage[] };
  return { rows, failed: marker.failed };
}

before(async () => {
  const pictures = await drawDataset(labels, { to: perClass });
  for (const [key, mark] of bad) pictures.set(key, marked(pictures.get(key) ?? Buffer.alloc(0), mark));
  await writeFiles(dataset, pictures);
  calmStore = await storeWithTinyBackbone(folder);
  crashStore = await copyBackbones(calmStore, join(folder, "crash"));
});

describe("pictures that kill workers", () => {
  it("cost a run nothing but themselves", async () => {
    const calm = await train(calmStore, {});
    assert.equal(calm.ledger.ok, 2 * perClass);
    const crashed = await train(crashStore, crashPreload);
    assert.equal(crashed.phase, "complete");
    const { listed, ok, failed } = crashed.ledger;
    assert.deepEqual({ listed, ok, failed }, { listed: 2 * perClass, ok: 2 * perClass - 2, failed: 2 });
    const lines = (await readFile(join(crashStore, "runs/crash/errors.jsonl"), "utf8")).trimEnd().split("\n");
    assert.deepEqual(
      lines.map((line) => errorLine.parse(JSON.parse(line))).map(({ key, reason }) => [key, reason]),
      [...bad.keys()].map((key) => [key, "crashed-worker"]),
    );
  });

  it("leave every other picture the row that it has where nothing died", async () => {
    const calm = await featuresIn(calmStore);
    const crashed = await featuresIn(crashStore);
    assert.deepEqual(calm.failed, []);
    const positions = crashed.failed.map(({ position }) => position);
    assert.deepEqual(positions, [0, perClass + 5]);
    for (const position of positions) calm.rows.delete(position);
    assert.equal(crashed.rows.size, 2 * perClass - 2);
    assert.deepEqual(crashed.rows, calm.rows);
  });
});
