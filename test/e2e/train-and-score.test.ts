import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { pathToFileURL } from "node:url";
import { bundleFiles, bundleManifest, ledger, metrics, sha256Hex, type Ledger } from "@trommel/common";
import { errorLine } from "#common/artefacts/shards/ledger";
import { scoreRow } from "#common/artefacts/results/bundle";
import * as ort from "onnxruntime-node";
import { decodeImage } from "#gpu-worker/image/decode/decode-image";
import { jsonInProcess, trommel, trommelJson } from "../support/process/cli.js";
import {
  badFiles,
  drawDataset,
  drawUnlabelled,
  trickyLabels,
  writeFiles,
  type Pictures,
} from "../support/images/dataset.js";
import { assertSameFiles, fileHashes } from "../support/files/file-hashes.js";
import { readValidationKeys } from "../support/runs/read-split.js";
import { temporaryFolder } from "../support/files/temp-folder.js";
import { tinyBackbone, writeTinyBackbone } from "../support/models/tiny-backbone.js";

/** With the unlabelled ones some 200 images. */
const perClass = 20;
const folder = await temporaryFolder("train-and-score");
const dataset = join(folder, "labelled");
const source = join(folder, "unlabelled");
const output = join(folder, "scores");
const store = join(folder, "store");
const env = { TROMMEL_STORE: store };
const trainArgs = [
  ...["train", dataset, "--backbone", tinyBackbone.name, "--run", "first", "--workers", "2"],
  ...[
    "--shard-size",
    "16",
    "--validation",
    "0.2",
    "--views",
    "3",
    "--head",
    "se",
    "--epochs",
    "40",
    "--learning-rate",
    "0.02",
  ],
  ...["--energy", "0.999", "--step", "8"],
];
const scoreArgs = [
  ...["score", source, "--model", "first", "--output", output, "--format", "csv"],
  ...["--shard-size", "20", "--workers", "2"],
];

interface Answer {
  readonly id: string;
  readonly phase: string;
  readonly location: string;
  readonly ledger: Ledger;
  readonly accuracy?: number;
  readonly labels?: readonly string[];
}
const answerOf = async (args: readonly string[]): Promise<Answer> =>
  (await trommelJson(args, { env })) as Answer;
/** Of what needs no worker. */
const answerInProcess = async (args: readonly string[]): Promise<Answer> =>
  (await jsonInProcess(args, { env })) as Answer;

const readText = (file: string): Promise<string> => readFile(file, "utf8");
const linesOf = (text: string): string[] => text.split("\n").filter((line) => line !== "");
const bundlePath = join(store, "runs/first/bundle");
const readManifest = async () =>
  bundleManifest.parse(JSON.parse(await readText(join(bundlePath, bundleFiles.manifest))));
const readSplit = (run: string) => readValidationKeys(store, run);

async function readRows() {
  const parts = (await readdir(output)).filter((name) => /^part-\d+\.jsonl$/.test(name)).sort();
  const texts = await Promise.all(parts.map((name) => readText(join(output, name))));
  return texts.flatMap(linesOf).map((line) => scoreRow.parse(JSON.parse(line)));
}

/** What the ledger says of a prefix's files, told from what was planted alone. */
function checkErrors(lines: readonly string[], planted: ReadonlyMap<string, string>): void {
  const found = lines.map((line) => errorLine.parse(JSON.parse(line)));
  assert.deepEqual(
    found.map(({ key, reason }) => `${key} ${reason}`).sort(),
    [...planted].map(([key, reason]) => `${key} ${reason}`).sort(),
  );
}

let labelled: Pictures;
let truth: Map<string, string>;
let unlabelled: Pictures;
const plantedInTraining = new Map<string, string>();
const plantedInScoring = new Map<string, string>();

before(async () => {
  labelled = await drawDataset(trickyLabels, { to: perClass });
  ({ files: unlabelled, truth } = await drawUnlabelled(trickyLabels, 60, 5));
  await writeFiles(dataset, labelled);
  await writeFiles(source, unlabelled);
  for (const [name, { bytes, reason }] of await badFiles()) {
    plantedInTraining.set(`apple/${name}`, reason);
    plantedInScoring.set(`in/${name}`, reason);
    await writeFiles(dataset, new Map([[`apple/${name}`, bytes]]));
    await writeFiles(source, new Map([[`in/${name}`, bytes]]));
  }
  const others = new Map([
    ["apple/.DS_Store", "x"],
    [".cache/thumb.png", "x"],
    ["README.txt", "not in a class folder"],
  ]);
  await writeFiles(dataset, others);
  await writeFiles(source, others);
  plantedInScoring.set("README.txt", "not-an-image");
});

describe("import, train, score and predict by the command line", () => {
  it("imports a backbone, lists and shows it", async () => {
    const model = await writeTinyBackbone(join(folder, "tiny"));
    const imported = (await trommelJson(["backbone", "import", model, "--name", tinyBackbone.name], {
      env,
    })) as { id: string; spec: { dimension: number; inputSize: number } };
    assert.equal(
      imported.id,
      tinyBackbone.id,
      "what other tests have in their stores is what an import writes",
    );
    assert.equal(imported.spec.dimension, tinyBackbone.dimension);
    assert.equal(imported.spec.inputSize, tinyBackbone.inputSize);
    const listed = (await jsonInProcess(["backbone", "ls"], { env })) as { backbones: { id: string }[] };
    assert.deepEqual(
      listed.backbones.map(({ id }) => id),
      [imported.id],
    );
    const shown = (await jsonInProcess(["backbone", "show", "tiny"], { env })) as { modelSha256: string };
    const bytes = await readFile(join(store, "backbones", imported.id, "model.onnx"));
    assert.equal(shown.modelSha256, sha256Hex(bytes));
  });

  it("trains, and the bundle is whole", async () => {
    const answer = await answerOf(trainArgs);
    assert.equal(answer.phase, "complete");
    assert.equal(answer.location, pathToFileURL(bundlePath).href);
    assert.deepEqual(answer.labels, trickyLabels, "labels in the order of their UTF-8 bytes");
    assert.ok((answer.accuracy ?? 0) > 0.9, `hues are easily told apart, and accuracy is ${answer.accuracy}`);
    const files = await fileHashes(bundlePath);
    const manifest = await readManifest();
    // The other two are of head: auto.
    const { standardization: _, novelty: __, ...ofThisHead } = bundleFiles;
    assert.deepEqual([...files.keys()].sort(), Object.values(ofThisHead).sort());
    for (const [name, hash] of Object.entries(manifest.hashes)) assert.equal(files.get(name), hash, name);
    for (const name of [bundleFiles.model, bundleFiles.metrics, bundleFiles.head, bundleFiles.projection]) {
      assert.ok(name in manifest.hashes, `${name} is hashed`);
    }
  });

  it("counts every validation row once, and no other", async () => {
    const manifest = await readManifest();
    const measured = metrics.parse(JSON.parse(await readText(join(bundlePath, bundleFiles.metrics))));
    const validation = await readSplit("first");
    const readable = validation.filter((key) => labelled.has(key));
    const sum = measured.confusion.flat().reduce((total, count) => total + count, 0);
    assert.equal(sum, readable.length);
    assert.equal(measured.rows, readable.length);
    assert.equal(manifest.data.validationImages, readable.length);
    const right = measured.confusion.reduce((total, row, index) => total + (row[index] ?? 0), 0);
    assert.ok(Math.abs(measured.accuracy - right / sum) < 1e-12);
    for (const [index, label] of trickyLabels.entries()) {
      const ofClass = readable.filter((key) => key.startsWith(`${label}/`)).length;
      assert.equal(
        measured.confusion[index]?.reduce((total, count) => total + count, 0),
        ofClass,
        label,
      );
    }
  });

  it("splits every class alike", async () => {
    const validation = await readSplit("first");
    for (const label of trickyLabels) {
      const files = perClass + (label === "apple" ? plantedInTraining.size : 0);
      const chosen = validation.filter((key) => key.startsWith(`${label}/`)).length;
      assert.equal(chosen, Math.round(0.2 * files), label);
    }
  });

  it("balances the ledger of the training, each bad file with its reason", async () => {
    const root = join(store, "runs/first");
    const counted = ledger.parse(JSON.parse(await readText(join(root, "ledger.json"))));
    const { listed, ok, failed, skipped, skippedByReason } = counted;
    assert.deepEqual(
      { listed, ok, failed, skipped },
      { listed: 6 * perClass + 8, ok: 6 * perClass, failed: 5, skipped: 3 },
    );
    assert.deepEqual(skippedByReason, { hidden: 1, litter: 1, "no-label": 1 });
    checkErrors(linesOf(await readText(join(root, "errors.jsonl"))), plantedInTraining);
  });

  it("does nothing when the same training is asked for again", async () => {
    const before = await fileHashes(store);
    const answer = await answerInProcess(trainArgs);
    assert.equal(answer.phase, "complete");
    assertSameFiles(await fileHashes(store), before);
  });

  it("scores, and every label is that of the picture", async () => {
    const answer = await answerOf(scoreArgs);
    assert.equal(answer.phase, "complete");
    const rows = await readRows();
    assert.deepEqual(
      rows.map(({ key }) => key),
      [...unlabelled.keys()],
    );
    const right = rows.filter(({ key, label }) => truth.get(key) === label).length;
    assert.ok(right >= 0.9 * rows.length, `${right} of ${rows.length} are right`);
    const { listed, ok, failed, skipped, failedByReason } = answer.ledger;
    assert.deepEqual({ listed, ok, failed, skipped }, { listed: 68, ok: 60, failed: 6, skipped: 2 });
    assert.equal(failedByReason["not-an-image"], 2);
    checkErrors(linesOf(await readText(join(output, "errors.jsonl"))), plantedInScoring);
    const success = JSON.parse(await readText(join(output, "_SUCCESS.json"))) as { rows: number };
    assert.equal(success.rows, 60);
  });

  it("writes the same rows as CSV", async () => {
    const rows = await readRows();
    const parts = (await readdir(output)).filter((name) => name.endsWith(".csv")).sort();
    const header =
      "key,label,probability,label_2,probability_2,label_3,probability_3,label_4,probability_4,label_5,probability_5";
    const records: string[] = [];
    for (const part of parts) {
      const [first, ...rest] = linesOf(await readText(join(output, part)));
      assert.equal(first, header);
      records.push(...rest);
    }
    assert.deepEqual(
      records,
      rows.map(({ key, top }) =>
        [key, ...top.flatMap(({ label, probability }) => [label, probability])].join(","),
      ),
    );
  });

  it("serves by model.onnx alone what the scores say", async () => {
    const manifest = await readManifest();
    const rows = await readRows();
    const session = await ort.InferenceSession.create(join(bundlePath, bundleFiles.model), {
      logSeverityLevel: 3,
    });
    const side = manifest.input.side;
    for (const row of rows.filter((_, index) => index % 7 === 0)) {
      const { decode } = manifest.input;
      const decoded = await decodeImage(unlabelled.get(row.key) ?? Buffer.alloc(0), { ...decode, side });
      assert.ok(decoded.ok);
      const fed = { pixels: new ort.Tensor("uint8", decoded.pixels, [1, side, side, 3]) };
      const given = (await session.run(fed))["probabilities"]?.data as Float32Array;
      const sum = given.reduce((total, value) => total + value, 0);
      assert.ok(Math.abs(sum - 1) < 1e-5);
      for (const { label, probability } of row.top) {
        const expected = given[manifest.labels.indexOf(label)] ?? NaN;
        assert.ok(
          Math.abs(expected - probability) < 1e-5,
          `${row.key} ${label}: ${expected}, ${probability}`,
        );
      }
      assert.equal(row.label, manifest.labels[given.indexOf(Math.max(...given))]);
    }
    await session.release();
  });

  it("predicts single files as it scores them, and says which it cannot read", async () => {
    const [first] = await readRows();
    assert.ok(first !== undefined);
    const good = join(source, first.key);
    const bad = join(source, "in/bad-half.jpg");
    const { code, stdout, stderr } = await trommel(["predict", good, bad, "--model", "first", "--json"], {
      env,
    });
    assert.equal(code, 1, stderr);
    const { rows } = JSON.parse(stdout) as {
      rows: { key: string; top?: unknown; error?: { reason: string } }[];
    };
    assert.deepEqual(rows[0]?.top, first.top);
    assert.equal(rows[1]?.error?.reason, "truncated");
  });

  it("scores the same again without work, and shows what is there", async () => {
    const before = await fileHashes(folder);
    const again = await answerInProcess(scoreArgs);
    assert.equal(again.phase, "complete");
    assertSameFiles(await fileHashes(folder), before);
    const status = (await jsonInProcess(["status"], { env })) as { runs: { id: string; phase: string }[] };
    assert.deepEqual(
      status.runs.map(({ id, phase }) => ({ id, phase })),
      [
        { id: "first", phase: "complete" },
        { id: again.id, phase: "complete" },
      ],
    );
    assert.deepEqual(await answerInProcess(["status", "first"]), await answerInProcess(trainArgs));
  });
});

describe("a dataset that grows", () => {
  it("keeps in validation what was there, and extracts no full shard again", async () => {
    const earlier = await readSplit("first");
    const before = await fileHashes(join(store, "features"));
    await writeFiles(dataset, await drawDataset(trickyLabels.slice(3), { from: perClass, to: perClass + 6 }));
    await answerOf([...trainArgs.map((arg) => (arg === "first" ? "second" : arg))]);
    const later = new Set(await readSplit("second"));
    for (const key of earlier) assert.ok(later.has(key), `${key} left the validation split`);
    assert.ok(later.size > earlier.length, "and the new images give their share");
    const after = await fileHashes(join(store, "features"));
    for (const [file, hash] of before) assert.equal(after.get(file), hash);
    // 85 files come before the first new one: five shards of 16 are as they were, four are new, each with its marker.
    assert.equal((await readdir(join(store, "runs/second/shards"))).length, 9);
    assert.equal(after.size, before.size + 2 * 4);
  });
});
