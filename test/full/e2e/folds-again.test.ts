import assert from "node:assert/strict";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { runKeys } from "@trommel/common";
import { noFold, testPart, type Choice, type FoldSplit } from "@trommel/common/artefacts";
import { temporaryFolder } from "../../support/files/temp-folder.js";
import { drawDataset, writeFiles } from "../../support/images/dataset.js";
import { trommelJson } from "../../support/process/cli.js";
import { autoLabels, autoPerClass, AutoRuns, type AutoAnswer } from "../../support/runs/auto-runs.js";

/** Runs on folds that come after another one: a resumed one, a retry, and one on more images. */

const folder = await temporaryFolder("folds-again");
let runs: AutoRuns;

before(async () => {
  runs = await AutoRuns.create(folder);
  assert.equal((await runs.train("first")).phase, "complete");
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
