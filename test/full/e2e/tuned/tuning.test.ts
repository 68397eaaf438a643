import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { copyFile, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { before, describe, it } from "node:test";
import { openStore, runKeys, sha256Hex, type BundleManifest, type RunConfig } from "@trommel/common";
import {
  curveVariant,
  decodeFoldResult,
  foldUnits,
  noFold,
  readRoundFigures,
  testPart,
  type Choice,
  type FoldSplit,
  type RoundFigures,
  type TunedBackbone,
} from "@trommel/common/artefacts";
import { autoHeadOf, candidatesOf, type CandidateRecipe } from "@trommel/common/recipe";
import { readTuningImages } from "#gpu-worker/stages/tuning/tuning-images";
import { readTuningRun } from "#gpu-worker/stages/tuning/tuning-run";
import { temporaryFolder } from "../../../support/files/temp-folder.js";
import { copyBackbones } from "../../../support/models/tiny-backbone.js";
import { RunningCli, trommel, trommelJson } from "../../../support/process/cli.js";
import { waitUntil } from "../../../support/process/wait-until.js";
import { autoLabels, AutoRuns } from "../../../support/runs/auto-runs.js";

/** A run that tunes its backbone, by the command line on a cluster of its own: what it starts from, keeps and serves. */

const folder = await temporaryFolder("tuning");
let runs: AutoRuns;

const tuneFlags = (fields: Readonly<Record<string, unknown>>): string[] => [
  ...["--tune", "--set", "head.learningCurve=false"],
  ...Object.entries({ batchSize: 8, epochs: 2, ...fields }).flatMap(([name, value]) => [
    "--set",
    `tune.${name}=${JSON.stringify(value)}`,
  ]),
];

async function tuned(
  run: string,
  fields: Readonly<Record<string, unknown>> = {},
  where: { readonly store?: string; readonly workers?: number } = {},
): Promise<{
  readonly backbone: TunedBackbone;
  readonly checkpoint: string;
  readonly figures: RoundFigures[];
}> {
  const answer = (await trommelJson([...runs.args(run, where), ...tuneFlags(fields), "--json"], {
    timeoutMs: 300_000,
  })) as { phase: string };
  assert.equal(answer.phase, "complete");
  const root = where.store ?? runs.store;
  const read = (key: string): Promise<Buffer> => readFile(join(root, key));
  const store = openStore(root);
  try {
    const figures = await readRoundFigures(store, run);
    const { tuning } = runKeys(run);
    return {
      backbone: JSON.parse((await read(tuning.backbone)).toString("utf8")) as TunedBackbone,
      checkpoint: sha256Hex(await read(tuning.checkpoint(figures.length))),
      figures,
    };
  } finally {
    store.close();
  }
}

/** What a fold's job of a run with labels for folders says of the images that it held out. */
async function predictedBy(run: string, job: number, variant: number): Promise<RoundFigures["heldOut"]> {
  const key = runKeys(run).fold(job);
  const { heldOut } = decodeFoldResult(await readFile(join(runs.store, key)), key);
  const logits = heldOut.logits[variant] ?? new Float32Array();
  const shards = await runs.shards(run);
  let [loss, right] = [0, 0];
  for (const [row, shard] of heldOut.shard.entries()) {
    const label = shards[shard]?.entries[heldOut.position[row] ?? -1]?.key.split("/")[0] ?? "";
    const own = [...logits.subarray(row * autoLabels.length, (row + 1) * autoLabels.length)];
    const wanted = own[autoLabels.indexOf(label)] ?? NaN;
    loss += Math.log(own.reduce((sum, logit) => sum + Math.exp(logit), 0)) - wanted;
    right += wanted === Math.max(...own) ? 1 : 0;
  }
  const images = heldOut.shard.length;
  return { images, loss: loss / images, accuracy: right / images };
}

function assertAlike(found: RoundFigures["heldOut"] | undefined, wanted: RoundFigures["heldOut"]): void {
  assert.ok(found !== null && found !== undefined && wanted !== null);
  assert.deepEqual([found.images, found.accuracy], [wanted.images, wanted.accuracy]);
  assert.ok(Math.abs(found.loss - wanted.loss) < 1e-4, `${found.loss} is not ${wanted.loss}`);
}

before(async () => {
  runs = await AutoRuns.create(folder);
});

describe("a run that tunes its backbone", () => {
  it("gives the same bytes however long its rounds are, with one replica", async () => {
    const [single, double, whole] = [
      await tuned("single", { localSteps: 1 }),
      await tuned("double", { localSteps: 2 }),
      await tuned("whole"),
    ];
    assert.deepEqual(
      [single, double, whole].map(({ figures }) => figures.length),
      [8, 4, 2],
    );
    for (const { backbone, checkpoint, figures } of [double, whole]) {
      assert.equal(checkpoint, single.checkpoint);
      assert.equal(backbone.hash, single.backbone.hash);
      assert.deepEqual(figures.at(-1)?.heldOut, single.figures.at(-1)?.heldOut);
    }
    assert.notEqual(single.backbone.hash.slice(0, 12), "895caf472045");
  });

  it("gives the same bytes with two replicas on one worker and on two", async () => {
    const other = await copyBackbones(runs.store, join(folder, "other-store"));
    for (const outer of [{ type: "average" }, { type: "nesterov" }]) {
      const run = `pair-${outer.type}`;
      const fields = { replicas: 2, localSteps: 1, outer };
      const alone = await tuned(run, fields);
      const shared = await tuned(run, fields, { store: other, workers: 2 });
      assert.equal(alone.figures.length, 4);
      assert.deepEqual(shared, alone);
    }
  });

  it("learns from no image of the held-out fold and of the test part, nor from a copy of one", async () => {
    const store = openStore(runs.store);
    const parts = await runs.parts("single-untuned");
    const run = await readTuningRun(store, "single");
    const images = await readTuningImages(store, run, new AbortController().signal);
    store.close();
    const keysOf = (wanted: (part: number) => boolean): string[] =>
      [...parts].flatMap(([key, part]) => (wanted(part) ? [key] : [])).sort();
    const learned = images.tuned.entries.map(({ key }) => key);
    const heldOut = images.heldOut.entries.map(({ key }) => key);
    assert.deepEqual(
      learned.toSorted(),
      keysOf((part) => part > 0),
    );
    assert.deepEqual(
      heldOut.toSorted(),
      keysOf((part) => part === 0),
    );
    assert.ok(keysOf((part) => part === testPart).length > 0);
    const contents = new Set<string>();
    const hash = async (key: string): Promise<string> => sha256Hex(await readFile(join(runs.dataset, key)));
    for (const key of learned) contents.add(await hash(key));
    for (const key of keysOf((part) => part === 0 || part === testPart))
      assert.ok(!contents.has(await hash(key)), key);
    assert.deepEqual(
      [...images.tuned.labels].map((label) => run.classNames[label]),
      learned.map((key) => key.split("/")[0]),
    );
  });

  it("serves heads that were trained on what it was tuned on, and says what its figures are worth", async () => {
    const choice = await runs.readJson<Choice>(runKeys("single").choice);
    const parts = await runs.parts("single-untuned");
    const count = (wanted: number): number => [...parts.values()].filter((part) => part === wanted).length;
    assert.deepEqual([choice.folds, choice.outOfFold.images], [1, count(0)]);
    assert.equal(choice.test?.images, count(testPart));
    const sentence = /tuned without these images.*rely on the figures of the test part/;
    assert.match(choice.chosenBy, sentence);
    const { stdout } = await trommel([...runs.args("single"), ...tuneFlags({ localSteps: 1 })]);
    assert.match(stdout, sentence);
    assert.match(stdout, /single-untuned is the same without tuning/);
    assert.match(stdout, /'trommel errors single' lists what failed$/m);
    const manifest = await runs.readJson<BundleManifest>("runs/single/bundle/bundle.json");
    assert.deepEqual(
      manifest.backbones.map(({ name, source }) => [name, source.kind, source.from]),
      [["tiny-single", "tuned", "tiny@895caf472045"]],
    );
    const { rows } = (await trommelJson([
      ...["predict", join(runs.dataset, "glass/001.png"), "--model", join(runs.store, "runs/single/bundle")],
      "--json",
    ])) as { rows: { label: string }[] };
    assert.equal(rows.length, 1);
  });

  it("keeps the images that the run without tuning has listed, and the reasons of those that failed", async () => {
    assert.equal((await runs.parts("single")).get("metal/broken.png"), noFold);
    const late = join(runs.dataset, "glass/late.png");
    const before = await runs.shards("single-untuned");
    await writeFile(late, await readFile(join(runs.dataset, "glass/001.png")));
    try {
      await tuned("single", { localSteps: 1 });
    } finally {
      // The runs of other tests have the dataset as it was.
      await rm(late);
    }
    assert.deepEqual(await runs.shards("single"), before);
    assert.ok(!JSON.stringify(before).includes("late.png"));
  });

  it("begins with the head of the run without tuning that never saw the held-out images", async () => {
    const optimizer = { type: "adamw", learningRate: 1e-9 };
    const still = { norm: "frozen", optimizer, schedule: { type: "constant" }, epochs: 1 };
    const { figures } = await tuned("still", still);
    const head = autoHeadOf({
      id: "still",
      recipe: (await runs.readJson<RunConfig>(runKeys("still").config)).recipe,
    });
    const split = await runs.readJson<FoldSplit>(runKeys("still-untuned").split);
    const [linear] = candidatesOf(head);
    const job = foldUnits(head, split).findIndex(({ candidate, fold }) => candidate === 0 && fold === 0);
    const wanted = await predictedBy("still-untuned", job, curveVariant(linear as CandidateRecipe));
    assertAlike(figures[0]?.heldOut, wanted);
  });

  it("serves the classifier that it tuned, with a gate before it, if the recipe asks for both", async () => {
    const fields = { head: "tuned", gate: { reduction: 4 }, dropout: 0.3, keep: "accuracy" };
    const { backbone, figures } = await tuned("gated", fields);
    const choice = await runs.readJson<Choice>(runKeys("gated").choice);
    assert.deepEqual(
      choice.candidates.map(({ name }) => name),
      ["tuned"],
    );
    assertAlike(figures[backbone.round]?.heldOut, await predictedBy("gated", 0, 0));
    const { backbones, ensemble } = await runs.readJson<BundleManifest>("runs/gated/bundle/bundle.json");
    const [gated] = backbones;
    const { parameterCount, dimension } = await runs.readJson<BundleManifest["backbones"][number]>(
      "backbones/tiny@895caf472045/spec.json",
    );
    const width = Math.ceil(dimension / 4);
    assert.equal(gated?.dimension, dimension);
    assert.equal(gated?.parameterCount, parameterCount + 2 * dimension * width + width + dimension);
    assert.deepEqual([ensemble?.head.type, ensemble?.heads], ["linear", 1]);
  });

  it("keeps the last two checkpoints and no change", async () => {
    const of = join(runs.store, "runs/single/tuning");
    const names = (part: string): Promise<string[]> => readdir(join(of, part)).then((found) => found.sort());
    const files = (name: string): string[] => [`${name}.safetensors`, `${name}.safetensors.json`];
    assert.deepEqual(await names("checkpoints"), [...files("00007"), ...files("00008")]);
    assert.deepEqual(await names("changes"), []);
    assert.equal((await names("rounds")).length, 8);
  });

  it("gives the same bytes after its worker and then its command were killed", async () => {
    const calm = await tuned("single", { localSteps: 1 });
    const command = new RunningCli([...runs.args("killed"), ...tuneFlags({ localSteps: 1 })]);
    const merged = (round: number): Promise<boolean> =>
      waitUntil(
        `round ${round} is merged`,
        () => existsSync(join(runs.store, runKeys("killed").tuning.round(round))),
        300_000,
      );
    await merged(1);
    const worker = Number(/^worker (\d+):/m.exec(command.stderr)?.[1]);
    process.kill(worker, "SIGKILL");
    await merged(3);
    command.kill("SIGKILL");
    await command.end();
    const { backbone, checkpoint, figures } = await tuned("killed", { localSteps: 1 });
    assert.equal(checkpoint, calm.checkpoint);
    assert.equal(backbone.hash, calm.backbone.hash);
    assert.deepEqual(figures, calm.figures);
  });

  it("continues from an older checkpoint that was kept, to the same bytes", async () => {
    const calm = await tuned("single", { localSteps: 1 });
    const command = new RunningCli([...runs.args("older"), ...tuneFlags({ localSteps: 1 })]);
    const { tuning, bundle } = runKeys("older");
    const at = (key: string): string => join(runs.store, key);
    const older = [tuning.checkpoint(3), `${tuning.checkpoint(3)}.json`];
    const aside = (key: string): string => join(folder, basename(key));
    await waitUntil("round 3 is merged", () => existsSync(at(older[1] ?? "")), 300_000);
    for (const key of older) await copyFile(at(key), aside(key));
    assert.equal((await command.end(300_000)).code, 0);
    await rm(at(tuning.checkpoints), { recursive: true });
    for (const key of [tuning.backbone, `${tuning.backbone}.json`, `${bundle}/bundle.json`])
      await rm(at(key), { force: true });
    await mkdir(at(tuning.checkpoints));
    for (const key of older) await copyFile(aside(key), at(key));
    await trommelJson(["resume", "older", "--store", runs.store], { timeoutMs: 300_000 });
    const { backbone, checkpoint, figures } = await tuned("older", { localSteps: 1 });
    assert.equal(checkpoint, calm.checkpoint);
    assert.equal(backbone.hash, calm.backbone.hash);
    assert.deepEqual(figures, calm.figures);
  });

  it("continues from the network of another run, and from none that has divided its images otherwise", async () => {
    const further = await tuned("further", { from: "single" });
    const fresh = await tuned("whole");
    assert.notEqual(further.checkpoint, fresh.checkpoint);
    const args = [...runs.args("elsewhere"), ...tuneFlags({ from: "single" }), "--set", "split.test=0.3"];
    const { code, stderr } = await trommel(args);
    assert.equal(code, 2);
    assert.match(stderr, /cannot continue from single: it differs in split/);
  });
});
