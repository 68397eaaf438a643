import assert from "node:assert/strict";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import type { Ledger } from "@trommel/common";
import { jsonInProcess, runInProcess, trommel, trommelJson } from "../../../support/process/cli.js";
import { drawDataset, writeFiles } from "../../../support/images/dataset.js";
import { temporaryFolder } from "../../../support/files/temp-folder.js";
import { storeWithTinyBackbone, tinyBackbone } from "../../../support/models/tiny-backbone.js";

const folder = await temporaryFolder("score-limits");
const labelled = join(folder, "labelled");
const source = join(folder, "source");
let store = "";

interface Answer {
  readonly id: string;
  readonly ledger: Ledger;
}

/** For machines that have other things to do. */
const patient = { timeoutMs: 240_000 };

const bad = Array.from({ length: 8 }, (_, i) => `bad/${i}.jpg`);

function scoreArgs(to: string, ...more: string[]): string[] {
  return [
    ...["score", source, "--model", "limits", "--output", join(folder, to), "--store", store],
    ...["--workers", "1", "--shard-size", "4", ...more],
  ];
}

const rowsOf = async (to: string, parts: number): Promise<string[]> => {
  const names = Array.from({ length: parts }, (_, i) => `part-${String(i).padStart(5, "0")}.jsonl`);
  const texts = await Promise.all(names.map((name) => readFile(join(folder, to, name), "utf8")));
  return texts.join("").split("\n").filter(Boolean);
};

before(async () => {
  const pictures = await drawDataset(["glass", "metal"], { to: 10 });
  await writeFiles(labelled, pictures);
  await writeFiles(source, pictures);
  await writeFiles(source, new Map(bad.map((key) => [key, "no picture"])));
  store = await storeWithTinyBackbone(folder);
  await trommelJson(
    [
      ...["train", labelled, "--store", store, "--run", "limits", "--workers", "1", "--views", "1"],
      ...["--backbone", tinyBackbone.name, "--head", "se", "--epochs", "2", "--step", "8"],
    ],
    patient,
  );
});

describe("a scoring with a limit of failures", () => {
  it("stops with the reason and an exit code of its own, and continues with another limit", async () => {
    const { code, stdout } = await trommel(
      [...scoreArgs("failing", "--max-failures", "20%"), "--json"],
      patient,
    );
    assert.equal(code, 5);
    const { error } = JSON.parse(stdout) as { error: { code: string; message: string } };
    assert.equal(error.code, "too-many-failures");
    assert.match(error.message, /8 of 28 images failed, and --max-failures 20% allows 5/);
    const [, id = ""] = /resume (score-\w+)/.exec(error.message) ?? [];
    const refused = await runInProcess(["resume", id, "--store", store, "--max-failures", "many"]);
    assert.equal(refused.code, 2);
    const args = ["resume", id, "--store", store, "--workers", "1", "--max-failures", "8"];
    const resumed = (await trommelJson(args, patient)) as Answer;
    assert.deepEqual([resumed.ledger.ok, resumed.ledger.failed], [20, 8]);
  });

  it("is the same scoring whatever its limit", async () => {
    const again = (await jsonInProcess(scoreArgs("failing", "--max-failures", "1"))) as Answer;
    assert.deepEqual([again.ledger.ok, again.ledger.failed], [20, 8]);
  });
});

describe("a part of a listing", () => {
  it("is its first images, or a sample that is drawn again alike", async () => {
    const first = (await trommelJson(scoreArgs("first", "--limit", "10"), patient)) as Answer;
    assert.equal(first.ledger.listed, 10);
    const sampled = (await trommelJson(
      scoreArgs("sampled", "--sample", "14", "--seed", "5"),
      patient,
    )) as Answer;
    const { ok, failed, skippedByReason } = sampled.ledger;
    assert.equal(ok + failed, 14);
    assert.deepEqual(skippedByReason, { "not-sampled": 14 });
    const again = (await trommelJson(scoreArgs("again", "--sample", "14", "--seed", "5"), patient)) as Answer;
    assert.notEqual(again.id, sampled.id);
    const parts = sampled.ledger.shards;
    assert.deepEqual(await rowsOf("again", parts), await rowsOf("sampled", parts));
  });

  it("is forecast with its images and a time, and nothing is written", async () => {
    const flags = ["--sample", "14", "--dry-run", "--price-per-hour", "3600"];
    const forecast = (await jsonInProcess(scoreArgs("forecast", ...flags))) as {
      readonly images: number;
      readonly skipped: number;
      readonly shards: number;
      readonly price: number;
      readonly estimate: { readonly seconds: number; readonly imagesPerSecond: number };
    };
    assert.deepEqual([forecast.images, forecast.skipped, forecast.shards], [14, 14, 4]);
    assert.ok(forecast.estimate.imagesPerSecond > 0);
    assert.equal(forecast.price, forecast.estimate.seconds);
    await assert.rejects(stat(join(folder, "forecast")), { code: "ENOENT" });
  });

  it("is refused where two are asked for, or a seed for nothing", async () => {
    for (const [flags, message] of [
      [["--limit", "1", "--sample", "2"], /--limit.*--sample/],
      [["--seed", "2"], /--seed 2/],
      [["--spreadsheet-safe"], /--spreadsheet-safe.*--format csv/],
    ] as const) {
      const { code, stderr } = await runInProcess(scoreArgs("refused", ...flags));
      assert.equal(code, 2);
      assert.match(stderr, message);
    }
  });
});

describe("the next generation of a scoring", () => {
  it("has the limit of the call that opens it", async () => {
    const more = Array.from({ length: 4 }, (_, i): [string, string] => [`bad/more-${i}.jpg`, "no picture"]);
    await writeFiles(source, new Map(more));
    const args = [...scoreArgs("failing", "--max-failures", "1"), "--json"];
    const { code, stdout } = await trommel(args, patient);
    const { error } = JSON.parse(stdout) as { error?: { code: string; message: string } };
    assert.equal(error?.code, "too-many-failures");
    assert.match(error.message, /--max-failures 1 allows 1/);
    assert.equal(code, 5);
  });
});
