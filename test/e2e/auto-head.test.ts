import assert from "node:assert/strict";
import { cp, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { runKeys, sha256Hex, type BundleManifest, type ScoreRow } from "@trommel/common";
import {
  decodeFoldResult,
  noFold,
  testPart,
  type Choice,
  type ScoreCounts,
  type ScoringSuccess,
} from "@trommel/common/artefacts";
import { decodeSafetensors } from "@trommel/common/codec";
import { requireTensor } from "#common/codec/safetensors";
import { decodeModel, encodeModel } from "#gpu-worker/graph/onnx/onnx-model";
import { InferenceSession, Tensor } from "onnxruntime-node";
import sharp from "sharp";
import { writeFiles } from "../support/images/dataset.js";
import { temporaryFolder } from "../support/files/temp-folder.js";
import { tinyBackbone } from "../support/models/tiny-backbone.js";
import { onlyJsonObject, trommel, trommelJson } from "../support/process/cli.js";
import { autoLabels, AutoRuns } from "../support/runs/auto-runs.js";

/** `head: auto` by the command line: what it divides, chooses, measures and serves, counted again from its artefacts. */

const folder = await temporaryFolder("auto-head");
let runs: AutoRuns;
/** Images in the test part of the first run. */
let tested = 0;

before(async () => {
  runs = await AutoRuns.create(folder);
});

describe("head: auto", () => {
  it("is the default, and predicts every image by heads that never saw it or a copy of it", async () => {
    const answer = await runs.train("first");
    assert.equal(answer.phase, "complete");
    assert.deepEqual([answer.ledger.ok, answer.ledger.failed], [62, 1]);
    const parts = await runs.parts("first");
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
    const choice = await runs.readJson<Choice>(runKeys("first").choice);
    const at = choice.candidates.findIndex(({ chosen }) => chosen);
    const shards = await runs.shards("first");
    let [right, images] = [0, 0];
    for (let job = 0; job < choice.folds; job += 1) {
      const bytes = await readFile(join(runs.store, runKeys("first").fold(job)));
      const { heldOut } = decodeFoldResult(bytes, "a fold");
      const logits = heldOut.logits[at] ?? new Float32Array();
      for (const [row, shard] of heldOut.shard.entries()) {
        const key = shards[shard]?.entries[heldOut.position[row] ?? -1]?.key ?? "";
        const own = [...logits.subarray(row * autoLabels.length, (row + 1) * autoLabels.length)];
        if (autoLabels[own.indexOf(Math.max(...own))] === key.split("/")[0]) right += 1;
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
    const { stdout } = await trommel(runs.args("first"));
    assert.match(stdout, new RegExp(`first: out-of-fold accuracy 0\\.\\d+, .* on ${62 - tested} images`));
    const report = await readFile(join(runs.store, "runs/first/bundle/report.html"), "utf8");
    assert.match(report, /chosen among 3 candidates/);
    assert.match(report, /test part/);
    const { mistakes, outOfFold } = await runs.readJson<Choice>(runKeys("first").choice);
    const wrong = Math.round(outOfFold.images * (1 - outOfFold.accuracy.value));
    assert.equal(mistakes.length, Math.min(24, wrong));
    assert.equal(report.match(/<img src="data:image\/webp/g)?.length ?? 0, mistakes.length);
    for (const { key, label } of mistakes) assert.ok(key.startsWith(`${label}/`), key);
  });

  it("gives a model that predicts the images of the test part as the report says", async () => {
    const choice = await runs.readJson<Choice>(runKeys("first").choice);
    const parts = await runs.parts("first");
    const keys = [...parts].flatMap(([key, part]) => (part === testPart ? [join(runs.dataset, key)] : []));
    const { rows } = (await trommelJson([
      ...["predict", ...keys, "--model", join(runs.store, "runs/first/bundle"), "--json"],
    ])) as { rows: { file?: string; key?: string; label: string }[] };
    const right = rows.filter(({ label }, at) => keys[at]?.includes(`/${label}/`)).length;
    assert.ok(Math.abs((choice.test?.accuracy.value ?? 0) - right / keys.length) < 1e-9);
  });

  it("travels with drawn pictures and what the model gives for them, which ONNX Runtime gives by hand", async () => {
    const bundle = join(runs.store, "runs/first/bundle");
    const manifest = await runs.readJson<BundleManifest>("runs/first/bundle/bundle.json");
    assert.deepEqual([manifest.golden?.images, manifest.input.decodeVersion], [4, 2]);
    const golden = decodeSafetensors(await readFile(join(bundle, "golden.safetensors")), { name: "golden" });
    const { shape, data } = requireTensor(golden, "pixels", "U8", 4);
    const session = await InferenceSession.create(join(bundle, "model.onnx"));
    const found = await session.run({ pixels: new Tensor("uint8", data, shape) });
    for (const [name, rank] of [["probabilities", 2] as const, ["novelty", 1] as const]) {
      const expected = requireTensor(golden, name, "F32", rank);
      const values = found[name]?.data as Float32Array;
      assert.deepEqual(found[name]?.dims, expected.shape);
      for (const [at, value] of expected.data.entries())
        assert.ok(Math.abs(value - (values[at] ?? NaN)) <= (manifest.golden?.tolerance ?? 0), name);
    }
    await session.release();
  });

  it("is refused by a worker where it gives other probabilities, by how much, and admitted without golden pictures", async () => {
    const original = join(runs.store, "runs/first/bundle");
    const changed = join(folder, "changed-bundle");
    await cp(original, changed, { recursive: true });
    const manifest = await runs.readJson<BundleManifest>("runs/first/bundle/bundle.json");
    const model = withLargerWeights(await readFile(join(original, "model.onnx")));
    const hashes = { ...manifest.hashes, "model.onnx": sha256Hex(model) };
    await writeFile(join(changed, "model.onnx"), model);
    const writeManifest = async (golden: BundleManifest["golden"]): Promise<void> => {
      await writeFile(join(changed, "bundle.json"), JSON.stringify({ ...manifest, hashes, golden }));
    };
    const scoreInto = (output: string, ...flags: string[]) =>
      trommel([
        ...[
          "score",
          runs.dataset,
          "--model",
          changed,
          "--output",
          join(folder, output),
          "--store",
          runs.store,
        ],
        ...["--workers", "1", "--limit", "4", "--log-level", "info", "--json"],
        ...flags,
      ]);
    await writeManifest(manifest.golden);
    const refused = await scoreInto("refused");
    assert.equal(refused.code, 1);
    const { code, message } = (onlyJsonObject(refused.stdout) as { error: { code: string; message: string } })
      .error;
    assert.equal(code, "parity-failed");
    const [, difference] = /a probability differs by (0\.\d+) .* ONNX Runtime on the CPU/.exec(message) ?? [];
    assert.ok(Number(difference) > (manifest.golden?.tolerance ?? 1), message);
    const written = await readdir(join(folder, "refused"));
    assert.deepEqual(
      written.filter((name) => name.startsWith("part")),
      [],
    );
    const forecast = await scoreInto("refused", "--dry-run");
    assert.equal(forecast.code, 1);
    assert.match(forecast.stderr, /a probability differs by 0\.\d+/);
    await writeManifest(null);
    const admitted = await scoreInto("admitted");
    assert.equal(admitted.code, 0, admitted.stderr);
    assert.equal(admitted.stderr.match(/has no golden pictures/g)?.length, 1);
  });

  it("labels unknown what is too novel, and what is not probable enough for its class, and counts it", async () => {
    const images = join(folder, "mixed");
    const noise = sharp(
      new Uint8Array(3 * 64 * 64).map((_, at) => (at * at * 7919) % 251),
      {
        raw: { width: 64, height: 64, channels: 3 },
      },
    );
    await writeFiles(
      images,
      new Map([
        ["noise.png", await noise.png().toBuffer()],
        ["seen.png", await readFile(join(runs.dataset, "glass/001.png"))],
      ]),
    );
    const bundle = join(runs.store, "runs/first/bundle");
    const output = join(folder, "judged");
    await trommelJson([
      ...["score", images, "--model", bundle, "--output", output, "--store", runs.store, "--workers", "1"],
      ...["--format", "csv", "--unknown-above", "0.99", "--min-probability", "thresholds", "--json"],
    ]);
    const read = async (name: string) => readFile(join(output, name), "utf8");
    const rows = (await read("part-00000.jsonl")).trim().split("\n");
    const choice = await runs.readJson<Choice>(runKeys("first").choice);
    const least = new Map(choice.thresholds?.perClass.map(({ label, threshold }) => [label, threshold]));
    let unknown = 0;
    for (const row of rows) {
      const { key, label, probability, top, novelty = 0 } = JSON.parse(row) as ScoreRow;
      if (key === "noise.png") assert.ok(novelty > 0.99, `${novelty}`);
      else assert.ok(novelty < 0.99, `${novelty}`);
      const likeliest = top[0]?.label ?? "";
      const isKnown = novelty <= 0.99 && probability >= (least.get(likeliest) ?? Infinity);
      assert.equal(label, isKnown ? likeliest : "unknown");
      if (!isKnown) unknown += 1;
    }
    const success = JSON.parse(await read("_SUCCESS.json")) as ScoringSuccess;
    const asked = { novelty: 0.99, minProbability: "thresholds", images: unknown };
    assert.deepEqual([success.unknown, success.novelty, success.decodeVersion], [asked, true, 2]);
    assert.equal((JSON.parse(await read("counts.json")) as ScoreCounts).unknown, unknown);
    assert.match(
      await read("part-00000.csv"),
      /^key,label,probability,label_2.*,novelty,likeliest\nnoise.png,unknown,.*,(glass|metal|paper)\n/,
    );
  });

  it("refuses settings that it does not use", async () => {
    const { code, stderr } = await trommel([
      ...["train", runs.dataset, "--backbone", tinyBackbone.name, "--store", runs.store, "--epochs", "3"],
    ]);
    assert.equal(code, 2);
    assert.match(stderr, /training\.epochs has no effect with the head auto.*--head se/);
  });
});

/** Every number of the model's largest tensor half as large again. */
function withLargerWeights(bytes: Uint8Array): Uint8Array {
  const model = decodeModel(bytes);
  const [largest] = [...(model.graph?.initializer ?? [])]
    .filter(({ dataType }) => dataType === 1)
    .sort((a, b) => (b.rawData?.length ?? 0) - (a.rawData?.length ?? 0));
  assert.ok(largest?.rawData, "the model has no tensor of numbers");
  const values = new Float32Array(Uint8Array.from(largest.rawData).buffer);
  largest.rawData = new Uint8Array(values.map((value) => value * 1.5).buffer);
  return encodeModel(model);
}
