import assert from "node:assert/strict";
import { cp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { parquetReadObjects } from "hyparquet";
import { bundleFiles, bundleManifest, metrics, sha256Hex } from "@trommel/common";
import { scoreCounts, scoringSuccess, type ScoreCounts } from "#common/artefacts/scores/scoring-output";
import { jsonInProcess, runInProcess, trommel, trommelJson } from "../../support/process/cli.js";
import { parseCsv } from "../../support/files/csv.js";
import { badFiles, drawDataset, writeFiles, type Pictures } from "../../support/images/dataset.js";
import { assertSameFiles, fileHashes } from "../../support/files/file-hashes.js";
import { readValidationKeys } from "../../support/runs/read-split.js";
import { temporaryFolder } from "../../support/files/temp-folder.js";
import { storeWithTinyBackbone, tinyBackbone } from "../../support/models/tiny-backbone.js";

/** Class folders, and what the scoring model calls their classes. */
const classes = new Map([
  ["bottle", '可回收物/玻璃,"瓶"'],
  ["butt", "其他垃圾/烟蒂"],
  ["can", "可回收物/易拉罐"],
]);
const folders = [...classes.keys()];
const labels = [...classes.values()];

const folder = await temporaryFolder("score-formats");
const dataset = join(folder, "labelled");
const model = join(folder, "model");
const output = join(folder, "scores");
let store = "";
let pictures: Pictures;

interface Answer {
  readonly id: string;
  readonly ledger: { readonly ok: number; readonly failed: number };
  readonly counts: ScoreCounts;
  readonly submission?: { readonly merged: boolean };
}

interface ParquetRow {
  readonly key: string;
  readonly label: string;
  readonly probability: number;
  readonly top: readonly { readonly label: string; readonly probability: number }[];
  readonly probabilities: readonly number[];
}

const scoreArgs = (to: string, workers: number): string[] => [
  ...["score", dataset, "--model", model, "--output", to, "--store", store],
  ...["--workers", String(workers), "--shard-size", "8"],
];
const readText = (...names: string[]): Promise<string> => readFile(join(...names), "utf8");

/** What a scoring wrote, but for what names the scoring itself. */
async function scoresIn(to: string): Promise<Map<string, string>> {
  const files = await fileHashes(to);
  return new Map([...files].filter(([name]) => name !== "_SUCCESS.json" && !name.startsWith("_trommel/")));
}

/** The probabilities of each picture by its id, as submission.csv has them. */
async function readSubmission(): Promise<Map<string, number[]>> {
  const [, ...records] = parseCsv(await readText(output, "submission.csv"));
  return new Map(records.map(([id = "", ...values]) => [id, values.map(Number)]));
}

before(async () => {
  pictures = await drawDataset(folders, { to: 12 });
  await writeFiles(dataset, pictures);
  const half = (await badFiles()).get("bad-half.jpg");
  await writeFiles(dataset, new Map([["can/bad-half.jpg", half?.bytes ?? ""]]));
  store = await storeWithTinyBackbone(folder);
  await trommelJson([
    ...["train", dataset, "--store", store, "--run", "grouped", "--workers", "1"],
    ...[
      "--backbone",
      tinyBackbone.name,
      "--views",
      "1",
      "--head",
      "se",
      "--epochs",
      "40",
      "--learning-rate",
      "0.02",
    ],
    ...["--step", "8", "--validation", "0.25", "--set", "scores.formats=[kaggle, parquet, result]"],
  ]);
  // Class folders cannot have a slash in their names, so the model's labels are named afterwards.
  await cp(join(store, "runs/grouped/bundle"), model, { recursive: true });
  const manifest = bundleManifest.parse(JSON.parse(await readText(model, bundleFiles.manifest)));
  assert.deepEqual(manifest.labels, folders);
  await writeFile(join(model, bundleFiles.manifest), JSON.stringify({ ...manifest, labels }));
});

describe("a scoring in several formats", () => {
  let answer: Answer;

  it("writes those of the model's recipe, and JSON lines in any case", async () => {
    answer = (await trommelJson(scoreArgs(output, 1))) as Answer;
    const success = scoringSuccess.parse(JSON.parse(await readText(output, "_SUCCESS.json")));
    assert.deepEqual(success.formats, ["jsonl", "result", "kaggle", "parquet"]);
    assert.deepEqual(success.files, [
      { format: "jsonl", first: "part-00000.jsonl", last: "part-00004.jsonl" },
      { format: "result", first: "result-00000.jsonl", last: "result-00004.jsonl" },
      { format: "kaggle", first: "kaggle-00000.csv", last: "kaggle-00004.csv" },
      { format: "parquet", first: "part-00000.parquet", last: "part-00004.parquet" },
    ]);
    const submission = await readFile(join(output, "submission.csv"));
    assert.deepEqual(success.submission, {
      merged: true,
      file: "submission.csv",
      rows: pictures.size,
      sizeBytes: submission.length,
      sha256: sha256Hex(submission),
    });
    const names = [...(await scoresIn(output)).keys()];
    const parts = [0, 1, 2, 3, 4].flatMap((index) =>
      [
        `kaggle-0000${index}.csv`,
        `part-0000${index}.jsonl`,
        `part-0000${index}.parquet`,
        `result-0000${index}.jsonl`,
      ].flatMap((part) => [part, `${part}.json`]),
    );
    assert.deepEqual(
      names,
      [...parts, "counts.json", "errors.jsonl", "ledger.json", "submission.csv"].sort(),
    );
  });

  it("has the same pictures with the same likeliest label in all of them", async () => {
    const rows: { key: string; label: string }[] = [];
    const results: string[] = [];
    for (let index = 0; index < 5; index += 1) {
      const lines = (await readText(output, `part-0000${index}.jsonl`)).trimEnd().split("\n");
      rows.push(...lines.map((line) => JSON.parse(line) as { key: string; label: string }));
      results.push(...(await readText(output, `result-0000${index}.jsonl`)).trimEnd().split("\n"));
    }
    assert.deepEqual(
      rows.map(({ key }) => key),
      [...pictures.keys()],
    );
    assert.deepEqual(
      results,
      rows.map(({ key, label }) => `{"result":${JSON.stringify(label)},"key":"${key}"}`),
    );
    const submission = await readSubmission();
    assert.deepEqual(
      [...submission].map(([id, values]) => [`${id}.png`, labels[values.indexOf(Math.max(...values))]]),
      rows.map(({ key, label }) => [key, label]),
    );
    const byLabel = labels.map((label) => ({
      label,
      images: rows.filter((row) => row.label === label).length,
    }));
    const counts = scoreCounts.parse(JSON.parse(await readText(output, "counts.json")));
    assert.deepEqual(counts.labels, byLabel);
    const images = byLabel.map((row) => row.images);
    assert.ok(!images.includes(0), "every class is found");
    assert.deepEqual(counts.groups, [
      { group: "可回收物", images: (images[0] ?? 0) + (images[2] ?? 0) },
      { group: "其他垃圾", images: images[1] },
    ]);
    assert.equal(counts.images, pictures.size);
    assert.deepEqual(answer.counts, counts);
    assert.deepEqual([answer.ledger.ok, answer.ledger.failed], [pictures.size, 1]);
  });

  it("has in submission.csv whole rows, whose log loss is the one that training measured", async () => {
    const text = await readText(output, "submission.csv");
    assert.deepEqual(parseCsv(text)[0], ["id", ...labels]);
    const submission = await readSubmission();
    for (const [id, values] of submission) {
      const sum = values.reduce((total, value) => total + value, 0);
      assert.ok(Math.abs(sum - 1) < 1e-5, `${id}: ${sum}`);
    }
    const validation = await readValidationKeys(store, "grouped");
    const measured = metrics.parse(JSON.parse(await readText(model, bundleFiles.metrics)));
    const losses = validation.flatMap((key) => {
      const values = submission.get(key.replace(/\.[a-z]+$/, ""));
      if (values === undefined) return [];
      const truth = values[folders.indexOf(key.split("/")[0] ?? "")] ?? NaN;
      return [-Math.log(Math.min(1, Math.max(1e-15, truth)))];
    });
    assert.equal(losses.length, measured.rows);
    const logLoss = losses.reduce((total, loss) => total + loss, 0) / losses.length;
    assert.ok(Math.abs(logLoss - measured.logLoss) < 1e-4, `${logLoss}, ${measured.logLoss}`);
  });

  it("has in Parquet the rows of the JSON lines, and of submission.csv every probability", async () => {
    const submission = await readSubmission();
    for (let index = 0; index < 5; index += 1) {
      const bytes = await readFile(join(output, `part-0000${index}.parquet`));
      const rows = (await parquetReadObjects({ file: Uint8Array.from(bytes).buffer })) as ParquetRow[];
      const lines = (await readText(output, `part-0000${index}.jsonl`)).trimEnd().split("\n");
      const round = (value: number): number => Number(value.toPrecision(7));
      const rounded = rows.map(({ key, label, probability, top }) => ({
        ...{ key, label, probability: round(probability) },
        top: top.map((one) => ({ label: one.label, probability: round(one.probability) })),
      }));
      assert.deepEqual(
        rounded,
        lines.map((line) => JSON.parse(line) as unknown),
      );
      for (const { key, probabilities } of rows)
        assert.deepEqual(probabilities.map(round), submission.get(key.replace(/\.[a-z]+$/, "")));
    }
  });

  it("gives the same bytes by two workers, and the same scoring however the formats are asked for", async () => {
    const other = join(folder, "scores-by-two");
    const first = await trommelJson([
      ...scoreArgs(other, 2),
      ...["--format", "kaggle", "--format", "result,kaggle,parquet"],
    ]);
    assertSameFiles(await scoresIn(other), await scoresIn(output));
    const again = await jsonInProcess([...scoreArgs(other, 2), "--format", "result,parquet,kaggle,jsonl"]);
    assert.deepEqual(again, first);
  });

  it("continues where a shard's other formats are committed and its JSON lines are not", async () => {
    const before = await fileHashes(output);
    for (const name of ["part-00001.jsonl.json", "kaggle-00001.csv", "kaggle-00001.csv.json"])
      await rm(join(output, name));
    await rm(join(output, "result-00003.jsonl.json"));
    await rm(join(output, "part-00003.jsonl.json"));
    for (const name of ["submission.csv", "counts.json", "_SUCCESS.json"]) await rm(join(output, name));
    const { code, stdout, stderr } = await trommel(scoreArgs(output, 1));
    assert.equal(code, 0, stderr);
    assertSameFiles(await fileHashes(output), before);
    assert.match(stdout, /^groups: 可回收物 \d+, 其他垃圾 \d+$/m);
    assert.match(stdout, /^labels: \S+ \d+, \S+ \d+, \S+ \d+$/m);
    assert.match(stdout, /^submission\.csv: 36 rows; 1 that failed have none \(errors\.jsonl\)$/m);
  });

  it("has the result lines that predict prints", async () => {
    const [line = ""] = (await readText(output, "result-00000.jsonl")).split("\n");
    const { key } = JSON.parse(line) as { key: string };
    const args = ["predict", key, "can/bad-half.jpg", "--model", model, "--format", "result"];
    const { code, stdout, stderr } = await trommel([...args, "--store", store], { cwd: dataset });
    assert.equal(code, 1);
    assert.equal(stdout, `${line}\n`);
    assert.match(stderr, /^can\/bad-half\.jpg: failed: truncated/m);
  });

  it("is not mistaken for one in other formats", async () => {
    const { code, stderr } = await runInProcess([...scoreArgs(output, 1), "--format", "csv"]);
    assert.equal(code, 1);
    assert.match(stderr, /it holds the scoring score-.* and they differ in --format/);
  });
});
