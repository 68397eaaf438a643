import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { openStore, runKeys, sha256Hex, type BundleManifest } from "@trommel/common";
import {
  decodeFoldResult,
  foldUnits,
  testPart,
  variantsOf,
  type Choice,
  type RoundFigures,
  type TunedBackbone,
  type TuningPlan,
} from "@trommel/common/artefacts";
import { autoHeadOf, candidatesOf } from "@trommel/common/recipe";
import { readTuningImages } from "#gpu-worker/stages/tuning/tuning-images";
import { readTuningRun } from "#gpu-worker/stages/tuning/tuning-run";
import { temporaryFolder } from "../../../support/files/temp-folder.js";
import { copyBackbones } from "../../../support/models/tiny-backbone.js";
import { RunningCli, trommel } from "../../../support/process/cli.js";
import { waitUntil } from "../../../support/process/wait-until.js";
import { autoLabels, AutoRuns } from "../../../support/runs/auto-runs.js";

/** A run that tunes a network for each fold and one on all images, by the command line. */

const run = "folded";
const folds = [0, 1];
const foldRun = (fold: number): string => `${run}-fold-${fold + 1}`;
const tuneFlags = [
  ...["--tune", "--set", "head.learningCurve=false"],
  ...["--set", "tune.folds=2", "--set", "tune.batchSize=8", "--set", "tune.epochs=2"],
];
const timeoutMs = 300_000;

const folder = await temporaryFolder("tuning-folds");
let runs: AutoRuns;
let said = "";
/** Part of each image of the run without tuning, by key. */
let parts: ReadonlyMap<string, number>;

before(async () => {
  runs = await AutoRuns.create(folder);
  const { code, stdout, stderr } = await trommel([...runs.args(run), ...tuneFlags], { timeoutMs });
  assert.equal(code, 0, stderr);
  said = stdout;
  parts = await runs.parts(`${run}-untuned`);
});

const keysOf = (wanted: (part: number) => boolean): string[] =>
  [...parts].flatMap(([key, part]) => (wanted(part) ? [key] : [])).sort();

/** What two equal trainings have in common, by key. */
async function bytesIn(store: string): Promise<Map<string, string>> {
  const perRun = [run, ...folds.map(foldRun)].flatMap((id) => {
    const keys = runKeys(id);
    const { plan, backbone } = keys.tuning;
    return [plan, backbone, keys.split, keys.standardization, keys.ensemble, keys.novelty, keys.choice];
  });
  const all = [...perRun, `${runKeys(run).bundle}/model.onnx`, runKeys(foldRun(0)).fold(0)];
  return new Map(
    await Promise.all(all.map(async (key) => [key, sha256Hex(await readFile(join(store, key)))] as const)),
  );
}

describe("a run that tunes a network for each fold", () => {
  it("tunes each on no image of its fold, nor on a copy of one, and the model's on all but the test part", async () => {
    const store = openStore(runs.store);
    const hashes = new Map<string, string>();
    for (const key of parts.keys()) hashes.set(key, sha256Hex(await readFile(join(runs.dataset, key))));
    for (const [id, heldOut] of [
      ...folds.map((fold) => [foldRun(fold), fold] as const),
      [run, null] as const,
    ]) {
      const plan = await runs.readJson<TuningPlan>(runKeys(id).tuning.plan);
      const own = await readTuningRun(store, id);
      const images = await readTuningImages(store, own, new AbortController().signal);
      const learned = images.tuned.entries.map(({ key }) => key);
      assert.deepEqual(
        learned.toSorted(),
        keysOf((part) => part >= 0 && part !== heldOut),
      );
      assert.deepEqual(
        images.heldOut.entries.map(({ key }) => key).sort(),
        keysOf((part) => part === heldOut),
      );
      assert.deepEqual(
        [plan.heldOutFold, plan.heldOutImages, plan.rounds.images],
        [heldOut, images.heldOut.entries.length, learned.length],
      );
      const bytes = new Set(learned.map((key) => hashes.get(key)));
      for (const key of keysOf((part) => part === heldOut || part === testPart))
        assert.ok(!bytes.has(hashes.get(key)), key);
      const { figures } = await runs.readJson<{ figures: RoundFigures }>(runKeys(id).tuning.round(0));
      assert.equal(figures.heldOut?.images, heldOut === null ? undefined : plan.heldOutImages);
    }
    store.close();
  });

  it("has a prediction of each image, by the network that never saw it", async () => {
    const choice = await runs.readJson<Choice>(runKeys(run).choice);
    const head = autoHeadOf({ id: run, recipe: (await manifest()).recipe });
    const candidate = candidatesOf(head).findIndex(({ head: of }) => of.type === choice.head.type);
    const tried = candidatesOf(head)[candidate];
    const chosen = choice.candidates.find((of) => of.chosen);
    assert.ok(tried !== undefined && chosen !== undefined);
    const variant = variantsOf(tried).indexOf(chosen.penalty);
    assert.ok(variant >= 0);
    const job = foldUnits(head, { folds: 1 }).findIndex((unit) => unit.candidate === candidate);
    const predicted: string[] = [];
    let right = 0;
    for (const fold of folds) {
      const shards = await runs.shards(foldRun(fold));
      const key = runKeys(foldRun(fold)).fold(job);
      const { heldOut } = decodeFoldResult(await readFile(join(runs.store, key)), key);
      const logits = heldOut.logits[variant] ?? new Float32Array();
      const own = [...heldOut.shard].map(
        (shard, row) => shards[shard]?.entries[heldOut.position[row] ?? -1]?.key ?? "",
      );
      assert.deepEqual(
        own.toSorted(),
        keysOf((part) => part === fold),
      );
      predicted.push(...own);
      for (const [row, image] of own.entries()) {
        const row0 = row * autoLabels.length;
        const answers = [...logits.subarray(row0, row0 + autoLabels.length)];
        if (autoLabels[answers.indexOf(Math.max(...answers))] === image.split("/")[0]) right += 1;
      }
    }
    assert.deepEqual(
      predicted.sort(),
      keysOf((part) => part >= 0),
    );
    assert.deepEqual([choice.folds, choice.outOfFold.images], [folds.length, predicted.length]);
    assert.ok(Math.abs(choice.outOfFold.accuracy.value - right / predicted.length) < 1e-9);
    assert.ok(!existsSync(join(runs.store, "runs", run, "folds")));
  });

  it("serves one head on a network of its own, and says what was tuned for the figures", async () => {
    const hashes = await Promise.all(
      [run, ...folds.map(foldRun)].map(
        async (id) => (await runs.readJson<TunedBackbone>(runKeys(id).tuning.backbone)).hash,
      ),
    );
    assert.equal(new Set(hashes).size, 3);
    const { backbones, ensemble, metrics, data } = await manifest();
    assert.deepEqual(
      backbones.map(({ hash }) => hash),
      hashes.slice(0, 1),
    );
    assert.deepEqual([ensemble?.heads, data.trainImages], [1, keysOf((part) => part >= 0).length]);
    assert.equal(metrics.test?.rows, keysOf((part) => part === testPart).length);
    const sentence =
      /2 networks were tuned for the figures, each without the images that it is measured on; the one in the bundle has seen every image but those of the test part/;
    assert.match(metrics.chosenBy, sentence);
    assert.match(said, sentence);
    assert.match(said, /the networks of the folds are those of folded-fold-1, folded-fold-2/);
    const report = await readFile(join(runs.store, runKeys(run).bundle, "report.html"), "utf8");
    assert.match(report, sentence);
    const first = await runs.readJson<Choice>(runKeys(foldRun(0)).choice);
    assert.match(first.chosenBy, /rely on the figures of folded, which has those of all folds/);
  });

  it("gives the same bytes with two workers, after one of them and then the command were killed", async () => {
    const store = await copyBackbones(runs.store, join(folder, "other-store"));
    const args = [...runs.args(run, { store, workers: 2 }), ...tuneFlags];
    const command = new RunningCli(args);
    const isThere = (key: string): Promise<boolean> =>
      waitUntil(`${key} is there`, () => existsSync(join(store, key)), timeoutMs);
    await isThere(runKeys(foldRun(0)).tuning.round(0));
    process.kill(Number(/^worker (\d+):/m.exec(command.stderr)?.[1]), "SIGKILL");
    await isThere(runKeys(foldRun(1)).tuning.backbone);
    command.kill("SIGKILL");
    await command.end();
    const { code, stderr } = await trommel(args, { timeoutMs });
    assert.equal(code, 0, stderr);
    assert.deepEqual(await bytesIn(store), await bytesIn(runs.store));
  });
});

function manifest(): Promise<BundleManifest> {
  return runs.readJson<BundleManifest>(`${runKeys(run).bundle}/bundle.json`);
}
