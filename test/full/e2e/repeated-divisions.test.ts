import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { runKeys, type BundleManifest } from "@trommel/common";
import { decodeFoldResult, testPart, type Choice, type FoldSplit } from "@trommel/common/artefacts";
import { temporaryFolder } from "../../support/files/temp-folder.js";
import { assertSameFiles, fileHashes } from "../../support/files/file-hashes.js";
import { copyBackbones } from "../../support/models/tiny-backbone.js";
import { trommel, trommelJson } from "../../support/process/cli.js";
import { autoLabels, AutoRuns } from "../../support/runs/auto-runs.js";

/** A run that divides its images into folds twice, by the command line, counted again from its artefacts. */

const folder = await temporaryFolder("repeated-divisions");
const [folds, repeats] = [3, 2];
const perceptron = {
  name: "two layers",
  head: { type: "mlp", hidden: [16] },
  training: { epochs: 6, batchSize: 16, optimizer: { type: "adamw" }, schedule: { type: "cosine" } },
};
const settings = [
  ...["--set", `head.candidates=${JSON.stringify([perceptron])}`],
  ...[
    "--set",
    `head.folds=${folds}`,
    "--set",
    `head.repeats=${repeats}`,
    "--set",
    "head.learningCurve=false",
  ],
];
let runs: AutoRuns;

before(async () => {
  runs = await AutoRuns.create(folder);
  await trommelJson([...runs.args("twice"), ...settings, "--json"], { timeoutMs: 120_000 });
});

/** What a run leaves behind in a store. */
async function resultsIn(store: string): Promise<Map<string, string>> {
  const files = await fileHashes(store);
  return new Map([...files].filter(([file]) => /^(features|runs|splits)\//.test(file)));
}

describe("a run that divides its images twice", () => {
  it("gives the same bytes with two workers", async () => {
    const store = await copyBackbones(runs.store, join(folder, "two"));
    await trommelJson([...runs.args("twice", { store, workers: 2 }), ...settings, "--json"], {
      timeoutMs: 120_000,
    });
    assertSameFiles(await resultsIn(store), await resultsIn(runs.store));
  });

  it("predicts each image by one head of each division, whose logits are averaged", async () => {
    const choice = await runs.readJson<Choice>(runKeys("twice").choice);
    const split = await runs.readJson<FoldSplit>(runKeys("twice").split);
    const shards = await runs.shards("twice");
    const files = await readdir(join(runs.store, "runs/twice/folds"));
    assert.equal(files.filter((file) => file.endsWith(".safetensors")).length, folds * repeats);
    const sums = new Map<string, number[]>();
    const times = new Map<string, number>();
    for (let job = 0; job < folds * repeats; job += 1) {
      const division = job < folds ? split.parts : split.furtherParts?.[0];
      const bytes = await readFile(join(runs.store, runKeys("twice").fold(job)));
      const { heldOut } = decodeFoldResult(bytes, "a fold");
      for (const [row, shard] of heldOut.shard.entries()) {
        const position = heldOut.position[row] ?? -1;
        assert.equal(division?.[shard]?.[position], job % folds);
        const key = shards[shard]?.entries[position]?.key ?? "";
        const own = heldOut.logits[0]?.subarray(row * autoLabels.length, (row + 1) * autoLabels.length) ?? [];
        const sum = sums.get(key) ?? autoLabels.map(() => 0);
        sums.set(
          key,
          sum.map((value, at) => value + (own[at] ?? Number.NaN)),
        );
        times.set(key, (times.get(key) ?? 0) + 1);
      }
    }
    assert.deepEqual([...new Set(times.values())], [repeats]);
    const tested = split.parts.flat().filter((part) => part === testPart).length;
    assert.equal(sums.size, 62 - tested);
    const right = [...sums].filter(
      ([key, sum]) => autoLabels[sum.indexOf(Math.max(...sum))] === key.split("/")[0],
    );
    assert.ok(Math.abs(choice.outOfFold.accuracy.value - right.length / sums.size) < 1e-12);
    assert.notDeepEqual(split.furtherParts?.[0], split.parts);
  });

  it("puts the heads of both divisions into the model, and says so", async () => {
    const { ensemble } = await runs.readJson<BundleManifest>("runs/twice/bundle/bundle.json");
    assert.deepEqual([ensemble?.heads, ensemble?.repeats], [folds * repeats, repeats]);
    const report = await readFile(join(runs.store, "runs/twice/bundle/report.html"), "utf8");
    assert.match(report, /divided into folds 2 times.*of 2 heads, and the model averages all 6/);
    const { stdout } = await trommel(["status", "twice", "--store", runs.store]);
    assert.match(stdout, /fold\s.*6/);
  });

  it("is another run than one that divides them once", async () => {
    const once = settings.map((setting) => (setting === "head.repeats=2" ? "head.repeats=1" : setting));
    const { code, stderr } = await trommel([...runs.args("twice"), ...once]);
    assert.notEqual(code, 0);
    assert.match(stderr, /belongs to another configuration \(they differ in recipe\.head\.repeats\)/);
  });

  it("is refused with one head that is trained on all images", async () => {
    const { code, stderr } = await trommel([...runs.args("refit"), ...settings, "--set", "head.heads=refit"]);
    assert.equal(code, 2);
    assert.match(stderr, /head\.repeats is 2, and with head\.heads refit/);
  });
});
