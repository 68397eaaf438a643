import assert from "node:assert/strict";
import { readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { trommel, trommelJson } from "../../../support/process/cli.js";
import { drawDataset, writeFiles } from "../../../support/images/dataset.js";
import { assertSameFiles, fileHashes } from "../../../support/files/file-hashes.js";
import { temporaryFolder } from "../../../support/files/temp-folder.js";
import { storeWithTinyBackbone, tinyBackbone } from "../../../support/models/tiny-backbone.js";

/** A run or scoring that is not finished meets bits that fell over: a followed command makes those artefacts again, the same. */

const folder = await temporaryFolder("damaged");
const dataset = join(folder, "labelled");
let store = "";
let features = "";
let whole: Map<string, string>;

const resultsIn = async (root: string): Promise<Map<string, string>> =>
  new Map(
    [...(await fileHashes(root))].filter(
      ([name]) => /^(features|runs)\//.test(name) && !/cluster\.json$/.test(name),
    ),
  );

async function flipByte(path: string): Promise<void> {
  const bytes = await readFile(path);
  const at = bytes.length - 5;
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  await writeFile(path, bytes);
}

/** Resumes what meets something damaged, and goes on by itself. */
async function mends(id: string, named: string): Promise<void> {
  const { code, stderr, stdout } = await trommel([
    ...["resume", id, "--store", store, "--workers", "1", "--follow", "--json"],
  ]);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /"phase":"complete"/);
  assert.match(stderr, /has been removed; it is queued again/);
  assert.ok(stderr.includes(named), `${stderr} names ${named}`);
}

async function completes(id: string): Promise<void> {
  const answer = await trommelJson(["resume", id, "--store", store, "--workers", "1"]);
  assert.equal((answer as { phase: string }).phase, "complete");
}

before(async () => {
  await writeFiles(dataset, await drawDataset(["glass", "metal"], { to: 8 }));
  store = await storeWithTinyBackbone(folder);
  await trommelJson([
    ...["train", dataset, "--store", store, "--run", "r", "--workers", "1", "--shard-size", "4"],
    ...[
      "--backbone",
      tinyBackbone.name,
      "--views",
      "2",
      "--head",
      "se",
      "--epochs",
      "3",
      "--step",
      "8",
      "--validation",
      "0.25",
    ],
  ]);
  const [fingerprint = ""] = await readdir(join(store, "features"));
  features = join(store, "features", fingerprint);
  whole = await resultsIn(store);
});

describe("an unfinished training run", () => {
  it("makes shards again that are gone or damaged, without being asked", async () => {
    const shards = (await readdir(features)).filter((name) => name.endsWith(".safetensors"));
    const [gone = "", unmarked = "", short = "", flipped = ""] = shards;
    await rm(join(features, gone));
    await truncate(join(features, `${unmarked}.json`), 40);
    await truncate(join(features, short), 100);
    // Of the right size: only who reads it sees it.
    await flipByte(join(features, flipped));
    for (const part of ["grams", "bundle", "head"])
      await rm(join(store, "runs/r", part), { recursive: true });
    await rm(join(store, "runs/r/projection.safetensors.json"));
    await mends("r", flipped);
    assertSameFiles(await resultsIn(store), whole);
  });
});

describe("an unfinished scoring", () => {
  it("makes parts again that are damaged, gone, or have a damaged marker", async () => {
    const output = join(folder, "scores");
    const args = [
      "score",
      dataset,
      "--model",
      join(store, "runs/r/bundle"),
      "--output",
      output,
      "--store",
      store,
    ];
    const { id } = (await trommelJson([
      ...args,
      ...["--workers", "1", "--shard-size", "4", "--format", "csv"],
    ])) as { id: string };
    const undisturbed = await fileHashes(output);
    await truncate(join(output, "_SUCCESS.json"), 10);
    await flipByte(join(output, "part-00000.jsonl"));
    await flipByte(join(output, "part-00001.csv"));
    await rm(join(output, "part-00002.csv"));
    await truncate(join(output, "part-00003.jsonl.json"), 10);
    await mends(id, "part-0000");
    assertSameFiles(await fileHashes(output), undisturbed);
  });

  it("adds up again what its results lack", async () => {
    const output = join(folder, "scores");
    const undisturbed = await fileHashes(output);
    const { scoring: id } = JSON.parse(await readFile(join(output, "_SUCCESS.json"), "utf8")) as {
      scoring: string;
    };
    await rm(join(output, "ledger.json"));
    await completes(id);
    assertSameFiles(await fileHashes(output), undisturbed);
  });
});
