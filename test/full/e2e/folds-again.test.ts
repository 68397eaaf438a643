import assert from "node:assert/strict";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { runKeys, type BundleManifest, type Metrics } from "@trommel/common";
import { noFold, testPart, type Choice, type FoldSplit } from "@trommel/common/artefacts";
import { temporaryFolder } from "../../support/files/temp-folder.js";
import { assertSameFiles, fileHashes, filesBelow } from "../../support/files/file-hashes.js";
import { drawDataset, writeFiles } from "../../support/images/dataset.js";
import { copyBackbones, tinyBackbone } from "../../support/models/tiny-backbone.js";
import { RunningCli, trommel, trommelJson } from "../../support/process/cli.js";
import { descendantsOf } from "../../support/process/processes.js";
import { waitUntil } from "../../support/process/wait-until.js";
import { autoLabels, autoPerClass, AutoRuns, type AutoAnswer } from "../../support/runs/auto-runs.js";

/**
 * Runs on folds that come after another one: the same one by other workers, a resumed one, a retry, and one on more images.
 */

const folder = await temporaryFolder("folds-again");
let runs: AutoRuns;

before(async () => {
  runs = await AutoRuns.create(folder);
  assert.equal((await runs.train("first")).phase, "complete");
});

/** Everything that a run leaves behind in a store. */
async function resultsIn(store: string): Promise<Map<string, string>> {
  const files = await fileHashes(store);
  return new Map(
    [...files].filter(
      ([file]) => /^(features|runs|splits)\//.test(file) && !file.includes("/.trommel-partial-"),
    ),
  );
}

describe("the same run on folds gives the same bytes", () => {
  let byOne: Map<string, string>;
  before(async () => {
    byOne = await resultsIn(runs.store);
    for (const part of [
      "folds/00000.safetensors",
      "choice.json",
      "ensemble.safetensors",
      "bundle/model.onnx",
    ])
      assert.ok(byOne.has(`runs/first/${part}`), part);
  });

  it("with two workers", async () => {
    const store = await copyBackbones(runs.store, join(folder, "two"));
    await trommelJson(runs.args("first", { store, workers: 2 }));
    assertSameFiles(await resultsIn(store), byOne);
  });

  it("with three workers that are killed between folds, and the run ends by itself", async () => {
    const store = await copyBackbones(runs.store, join(folder, "three"));
    const cli = new RunningCli([...runs.args("first", { store, workers: 3 }), "--json"]);
    const folds = async (): Promise<number> =>
      (await filesBelow(join(store, "runs/first"))).filter((file) => /^folds\/.*\.json$/.test(file)).length;
    await waitUntil("a fold is committed", async () => (await folds()) > 0);
    const workers = (await descendantsOf(cli.pid)).filter(({ args }) => args.includes("worker"));
    assert.equal(workers.length, 3);
    for (const { pid } of workers) process.kill(pid, "SIGKILL");
    const [done, all] = [await folds(), [...byOne.keys()].filter((key) => /\/folds\/.*\.json$/.test(key))];
    assert.ok(done < all.length, `${done} of ${all.length} folds stood: this is not between them`);
    const { code, stderr } = await cli.end(90_000);
    assert.equal(code, 0, stderr);
    assertSameFiles(await resultsIn(store), byOne);
  });
});

describe("a run on folds", () => {
  it("serves the mirror image too, with its gain in the report, and the model gives what the folds gave", async () => {
    const mirrored = ["--set", "views.flips=[horizontal]", "--set", "serving.views=mirrored", "--json"];
    const answer = (await trommelJson([...runs.args("mirrored"), ...mirrored])) as AutoAnswer;
    // The bundle is written only if its model reproduces the averaged features.
    assert.equal(answer.phase, "complete");
    const { alone, outOfFold } = await runs.readJson<Choice>(runKeys("mirrored").choice);
    assert.ok(alone !== null && Math.abs(alone.logLoss - outOfFold.logLoss.value) > 1e-9);
    const report = await readFile(join(runs.store, "runs/mirrored/bundle/report.html"), "utf8");
    assert.match(
      report,
      /averages over each image and a flip of it \(horizontal\), which takes 2 times the time/,
    );
  });

  it("trains the same heads again after a fold and the choice were lost", async () => {
    const files = ["choice.json", "choice.json.json", "ensemble.safetensors", "ensemble.safetensors.json"];
    const before = await readFile(join(runs.store, "runs/first/choice.json"), "utf8");
    const bundle = await readFile(join(runs.store, "runs/first/bundle/model.onnx"));
    for (const file of [
      ...files,
      "folds/00001.safetensors",
      "folds/00001.safetensors.json",
      "bundle/bundle.json",
    ])
      await rm(join(runs.store, "runs/first", file), { force: true });
    await trommelJson(["resume", "first", "--store", runs.store, "--workers", "2", "--json"]);
    assert.equal(await readFile(join(runs.store, "runs/first/choice.json"), "utf8"), before);
    assert.ok(bundle.equals(await readFile(join(runs.store, "runs/first/bundle/model.onnx"))));
  });

  it("trains one head on everything with head.heads=refit, measured and calibrated by the fold heads", async () => {
    const answer = (await trommelJson([
      ...[...runs.args("refit"), "--set", "head.heads=refit", "--json"],
    ])) as AutoAnswer;
    assert.equal(answer.phase, "complete");
    const [folds, one] = [
      await runs.readJson<Choice>(runKeys("first").choice),
      await runs.readJson<Choice>(runKeys("refit").choice),
    ];
    assert.deepEqual([one.heads, folds.heads], ["refit", "folds"]);
    assert.deepEqual([one.outOfFold, one.temperature], [folds.outOfFold, folds.temperature]);
    assert.match(one.notes.join(" "), /trained once more/);
    // Only the head itself differs, which the test part shows.
    assert.notDeepEqual(one.test?.logLoss, folds.test?.logLoss);
    const { ensemble, metrics } = await runs.readJson<BundleManifest>("runs/refit/bundle/bundle.json");
    assert.deepEqual([ensemble?.heads, ensemble?.temperature], [1, one.temperature]);
    assert.equal(metrics.test?.rows, one.test?.images);
  });

  it("keeps folds and test part in a retry, and gives the repaired image a part", async () => {
    const before = await runs.parts("first");
    const [repaired] = (await drawDataset(["metal"], { from: 90, to: 91 })).values();
    await writeFiles(runs.dataset, new Map([["metal/broken.png", repaired ?? Buffer.alloc(0)]]));
    const args = ["retry", "first", "--run", "retried", "--store", runs.store, "--workers", "1", "--json"];
    const answer = (await trommelJson(args)) as AutoAnswer;
    assert.deepEqual([answer.ledger.ok, answer.ledger.failed], [63, 0]);
    const after = await runs.parts("retried");
    for (const [key, part] of before) if (part !== noFold) assert.equal(after.get(key), part, key);
    assert.ok((after.get("metal/broken.png") ?? noFold) >= 0);
  });

  it("keeps the test part when the dataset grows, with a copy of its images, and says so", async () => {
    const before = await runs.parts("first");
    const [kept] = [...before].find(([, part]) => part === testPart) ?? [];
    assert.ok(kept !== undefined);
    const bytes = await readFile(join(runs.dataset, kept));
    const grown = await drawDataset(autoLabels, { from: autoPerClass, to: autoPerClass + 4 });
    grown.set(kept.replace(/\/.*/, "/zz-copy.png"), bytes);
    await writeFiles(runs.dataset, grown);
    await runs.train("grown");
    const after = await runs.parts("grown");
    for (const [key, part] of before) if (part === testPart) assert.equal(after.get(key), testPart, key);
    assert.equal(after.get(kept.replace(/\/.*/, "/zz-copy.png")), testPart);
    const { notes } = await runs.readJson<FoldSplit>(runKeys("grown").split);
    assert.match(notes.join(" "), /1 images? (is|are) in the test part because a copy/);
  });
});

describe("a single head with a test part", () => {
  const args = (run: string) => [
    ...["train", runs.dataset, "--backbone", tinyBackbone.name, "--store", runs.store, "--run", run],
    ...[
      "--head",
      "se",
      "--epochs",
      "4",
      "--step",
      "8",
      "--views",
      "2",
      "--shard-size",
      "16",
      "--workers",
      "1",
    ],
  ];

  it("says that the epoch was chosen on the validation images, and what else was measured", async () => {
    const { stdout } = await trommel([...args("single"), "--test", "0.2"]);
    const { chosenBy, test, rows } = await runs.readJson<Metrics>("runs/single/bundle/metrics.json");
    assert.match(
      chosenBy,
      new RegExp(
        `of 4 was chosen on the ${rows} images.*flatter. .*each fifth.* The figures of the test part do not`,
      ),
    );
    assert.ok(stdout.includes(chosenBy));
    assert.match(stdout, /single: the same with the epoch chosen on other images: accuracy [01]\.\d+/);
    assert.match(
      stdout,
      new RegExp(`single: test accuracy 0\\.\\d+, .* on ${test?.images} images that nothing`),
    );
    const status = await trommel(["status", "single", "--store", runs.store]);
    assert.ok(status.stdout.includes(chosenBy));
    const report = await readFile(join(runs.store, "runs/single/bundle/report.html"), "utf8");
    assert.match(report, /<th[^>]*>test part</);
    const { data } = await runs.readJson<BundleManifest>("runs/single/bundle/bundle.json");
    assert.ok(data.classes.every(({ test: images, train }) => images >= 4 && train > images));
  });
});
