import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { runKeys, type BundleManifest } from "@trommel/common";
import { testPart, type Choice, type FoldNetworks, type TunedBackbone } from "@trommel/common/artefacts";
import { temporaryFolder } from "../../../support/files/temp-folder.js";
import { trommel, trommelJson } from "../../../support/process/cli.js";
import { autoLabels, AutoRuns } from "../../../support/runs/auto-runs.js";

/** A run whose model takes the networks of its folds, by the command line. */

const run = "several";
const folds = 3;
const foldRuns = Array.from({ length: folds }, (_, fold) => `${run}-fold-${fold + 1}`);
const tuneFlags = [
  ...[
    "--tune",
    "--set",
    "head.learningCurve=false",
    "--set",
    "head.candidates=[{name: only, head: {type: mlp, hidden: [8]}, training: {epochs: 3, keep: last, schedule: {type: cosine}}}]",
  ],
  ...["--set", `tune.folds=${folds}`, "--set", "tune.networks=folds"],
  ...["--set", "tune.batchSize=8", "--set", "tune.epochs=2"],
];
const timeoutMs = 300_000;

interface Answer {
  readonly rows: readonly {
    readonly top: readonly { readonly label: string; readonly probability: number }[];
  }[];
}

const folder = await temporaryFolder("fold-networks");
let runs: AutoRuns;
let said = "";

before(async () => {
  runs = await AutoRuns.create(folder);
  const { code, stdout, stderr } = await trommel([...runs.args(run), ...tuneFlags], { timeoutMs });
  assert.equal(code, 0, stderr);
  said = stdout;
});

const manifestOf = (id: string): Promise<BundleManifest> =>
  runs.readJson<BundleManifest>(`${runKeys(id).bundle}/bundle.json`);

/** The probabilities of the labels by a model, for each file. */
async function predict(id: string, files: readonly string[]): Promise<number[][]> {
  const flags = ["--model", id, "--store", runs.store, "--top", String(autoLabels.length)];
  const { rows } = (await trommelJson(["predict", ...files, ...flags])) as Answer;
  return rows.map(({ top }) =>
    autoLabels.map((label) => top.find((of) => of.label === label)?.probability ?? Number.NaN),
  );
}

function softmax(logits: readonly number[]): number[] {
  const most = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - most));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}

describe("a run whose model takes the networks of its folds", () => {
  it("tunes one for each fold and none besides", async () => {
    const { backbones } = await runs.readJson<FoldNetworks>(runKeys(run).tuning.networks);
    const tuned = await Promise.all(
      foldRuns.map((id) => runs.readJson<TunedBackbone>(runKeys(id).tuning.backbone)),
    );
    assert.deepEqual(backbones, tuned);
    assert.equal(new Set(backbones.map(({ hash }) => hash)).size, folds);
    const { plan, rounds, backbone } = runKeys(run).tuning;
    for (const key of [plan, rounds, backbone]) assert.ok(!existsSync(join(runs.store, key)), key);
    const { backbones: served } = await manifestOf(run);
    assert.deepEqual(
      served.map(({ hash }) => hash),
      backbones.map(({ hash }) => hash),
    );
  });

  it("averages the logits that the folds' models give", async () => {
    const keys = [...(await runs.parts(run)).keys()].filter((key) => !key.includes("broken")).slice(0, 12);
    const files = keys.map((key) => join(runs.dataset, key));
    const temperatureOf = async (id: string): Promise<number> =>
      (await manifestOf(id)).ensemble?.temperature ?? Number.NaN;
    const sums = files.map(() => autoLabels.map(() => 0));
    for (const id of foldRuns) {
      const temperature = await temperatureOf(id);
      for (const [at, probabilities] of (await predict(id, files)).entries())
        for (const [label, probability] of probabilities.entries())
          sums[at]![label]! += (temperature * Math.log(probability)) / folds;
    }
    const own = await temperatureOf(run);
    const found = await predict(run, files);
    for (const [at, probabilities] of found.entries())
      for (const [label, wanted] of softmax((sums[at] ?? []).map((sum) => sum / own)).entries())
        assert.ok(
          Math.abs((probabilities[label] ?? NaN) - wanted) < 1e-4,
          `${files[at]}: ${probabilities.join(" ")}`,
        );
  });

  it("measures on images that a network never saw, and on a test part by all of them", async () => {
    const parts = [...(await runs.parts(run)).values()];
    const choice = await runs.readJson<Choice>(runKeys(run).choice);
    const held = await Promise.all(foldRuns.map((id) => runs.readJson<Choice>(runKeys(id).choice)));
    const right = held.reduce((sum, { outOfFold: { accuracy, images } }) => sum + accuracy.value * images, 0);
    assert.equal(choice.outOfFold.images, parts.filter((part) => part >= 0).length);
    assert.ok(Math.abs(choice.outOfFold.accuracy.value - right / choice.outOfFold.images) < 1e-9);
    assert.equal(choice.heads, "folds");
    assert.equal(choice.test?.images, parts.filter((part) => part === testPart).length);
    const sentence =
      /3 networks were tuned, each without the images that it is measured on; the model averages what all of them say/;
    assert.match(choice.chosenBy, sentence);
    assert.match(said, sentence);
    const { ensemble } = await manifestOf(run);
    assert.deepEqual([ensemble?.heads, ensemble?.ownNetworks], [folds, true]);
    const report = await readFile(join(runs.store, runKeys(run).bundle, "report.html"), "utf8");
    assert.match(report, sentence);
  });

  it("says what it takes before it starts", async () => {
    const { code, stdout, stderr } = await trommel([...runs.args("before"), ...tuneFlags, "--dry-run"], {
      timeoutMs,
    });
    assert.equal(code, 0, stderr);
    assert.match(stdout, /tuning: 3 networks, each without one of 3 folds: about \d+ images/);
    assert.doesNotMatch(stdout, /for the figures/);
  });

  it("keeps its networks after the folds' runs are gone, and is no run to continue from", async () => {
    const from = await trommel([...runs.args("further"), "--tune", "--set", `tune.from=${run}`]);
    assert.match(from.stderr, /it takes the networks of its folds .* Name a run that tuned one network/);
    const before = await predict(run, [join(runs.dataset, "glass/001.png")]);
    for (const id of foldRuns) {
      const removed = await trommel(["store", "remove", id, "--store", runs.store, "--yes"]);
      assert.equal(removed.code, 0, removed.stderr);
    }
    assert.deepEqual(await predict(run, [join(runs.dataset, "glass/001.png")]), before);
    const { backbones } = await runs.readJson<FoldNetworks>(runKeys(run).tuning.networks);
    const backbone = await trommel(["backbone", "remove", backbones[0]?.id ?? "", "--store", runs.store]);
    assert.notEqual(backbone.code, 0);
    assert.match(backbone.stderr, /several/);
  });
});
