import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { ReleaseStack } from "@trommel/common";
import { onlyJsonObject, RunningCli, trommelJson, type CliResult } from "../../support/process/cli.js";
import { drawDataset, drawUnlabelled, writeFiles } from "../../support/images/dataset.js";
import { assertSameFiles, fileHashes, filesBelow } from "../../support/files/file-hashes.js";
import { startRedisServer } from "../../support/servers/redis-server.js";
import { temporaryFolder } from "../../support/files/temp-folder.js";
import { copyBackbones, storeWithTinyBackbone, tinyBackbone } from "../../support/models/tiny-backbone.js";

interface Answer {
  readonly phase?: string;
  readonly error?: { readonly code: string; readonly message: string };
}

const labels = ["glass", "metal"];
const folder = await temporaryFolder("two-of-the-same");
const dataset = join(folder, "labelled");
const source = join(folder, "unlabelled");
const releases = new ReleaseStack();
let store = "";
let env: Record<string, string> = {};
/** What a run and a scoring leave behind that nobody disturbed. */
let undisturbed: Map<string, string>;

function trainArgs(place: string, run: string, ...more: string[]): string[] {
  return [
    ...["train", dataset, "--store", place, "--run", run, "--backbone", tinyBackbone.name, "--views", "2"],
    ...[
      "--shard-size",
      "4",
      "--head",
      "se",
      "--epochs",
      "3",
      "--step",
      "8",
      "--validation",
      "0.2",
      "--json",
      ...more,
    ],
  ];
}

function scoreArgs(place: string, model: string, output: string, ...more: string[]): string[] {
  return [
    ...["score", source, "--store", place, "--model", model, "--output", output],
    ...["--shard-size", "4", "--format", "kaggle", "--json", ...more],
  ];
}

/** Runs commands that start at the same moment. */
async function atOnce(
  options: { env?: Record<string, string> },
  ...commands: string[][]
): Promise<CliResult[]> {
  const running = commands.map((args) => new RunningCli(args, options));
  return Promise.all(running.map((cli) => cli.end(90_000)));
}

const answerOf = ({ stdout }: CliResult): Answer => onlyJsonObject(stdout) as Answer;

async function resultsOf(place: string, run: string): Promise<Map<string, string>> {
  const results = new Map<string, string>();
  for (const part of ["features", `runs/${run}`]) {
    for (const [file, hash] of await fileHashes(join(place, part))) {
      if (!file.includes(".trommel-partial-")) results.set(`${part}/${file}`, hash);
    }
  }
  return results;
}

before(async () => {
  await writeFiles(dataset, await drawDataset(labels, { to: 12 }));
  await writeFiles(source, (await drawUnlabelled(labels, 14, 3)).files);
  store = await storeWithTinyBackbone(folder);
  const alone = await copyBackbones(store, join(folder, "alone"));
  await trommelJson(trainArgs(alone, "same", "--workers", "1").filter((arg) => arg !== "--json"));
  undisturbed = await resultsOf(alone, "same");
  const redis = await startRedisServer();
  releases.add("redis", () => redis.stop());
  env = { TROMMEL_REDIS_URL: redis.url() };
  for (const number of [1, 2]) {
    const coordinator = new RunningCli(["coordinator", "--store", store], { env });
    releases.add(`coordinator ${number}`, () => coordinator.stop());
    await coordinator.says("coordinator: redis");
  }
  const worker = new RunningCli(["worker", "--store", store, "--threads", "1"], { env });
  releases.add("worker", () => worker.stop());
  await worker.says("extract");
});

after(async () => assert.deepEqual(await releases.releaseAll(), []));

describe("two of the same, on a cluster with two coordinators", () => {
  it("are one run: both commands end with it, and its bytes are those of a run alone", async () => {
    const ends = await atOnce(
      { env },
      trainArgs(store, "same", "--follow"),
      trainArgs(store, "same", "--follow"),
    );
    for (const end of ends) assert.equal(answerOf(end).phase, "complete", end.stderr);
    assertSameFiles(await resultsOf(store, "same"), undisturbed);
  });

  it("are one scoring, where both are by one model", async () => {
    const output = join(folder, "one-model");
    const ends = await atOnce(
      { env },
      scoreArgs(store, "same", output, "--follow"),
      scoreArgs(store, "same", output, "--follow"),
    );
    for (const end of ends) assert.equal(answerOf(end).phase, "complete", end.stderr);
    const success = JSON.parse(await readFile(join(output, "_SUCCESS.json"), "utf8")) as { rows: number };
    assert.equal(success.rows, 14);
  });

  it("are refused but for one, where configurations differ under one id", async () => {
    const ends = await atOnce(
      { env },
      trainArgs(store, "other", "--follow"),
      trainArgs(store, "other", "--seed", "5", "--follow"),
    );
    const codes = ends.map((end) => answerOf(end).error?.code ?? answerOf(end).phase);
    assert.deepEqual(codes.sort(), ["complete", "conflict"]);
  });

  it("are refused but for one, where two models score into one prefix, before a row is written", async () => {
    const output = join(folder, "two-models");
    const ends = await atOnce(
      { env },
      scoreArgs(store, "same", output, "--follow"),
      scoreArgs(store, "other", output, "--follow"),
    );
    const codes = ends.map((end) => answerOf(end).error?.code ?? answerOf(end).phase);
    assert.deepEqual(codes.sort(), ["complete", "conflict"]);
    const model =
      codes.length === 2 && answerOf(ends[0] as CliResult).phase === "complete" ? "same" : "other";
    const success = JSON.parse(await readFile(join(output, "_SUCCESS.json"), "utf8")) as {
      model: { location: string };
    };
    assert.ok(success.model.location.includes(`/runs/${model}/`));
    // What is there is what that model gives alone.
    const alone = join(folder, "two-models-alone");
    const [end] = await atOnce({ env }, scoreArgs(store, model, alone, "--follow"));
    assert.equal(end?.code, 0);
    for (const file of (await filesBelow(alone)).filter((name) => /^(part|kaggle|submission)/.test(name)))
      assert.equal(
        await readFile(join(output, file), "utf8"),
        await readFile(join(alone, file), "utf8"),
        file,
      );
  });

  it("cancel and resume at once, and either wins as a whole", async () => {
    const queued = await atOnce({ env }, trainArgs(store, "torn", "--seed", "9", "--no-follow"));
    assert.equal(queued[0]?.code, 0, queued[0]?.stderr);
    const at = ["torn", "--store", store, "--json"];
    const ends = await atOnce(
      { env },
      ["cancel", ...at],
      ["resume", ...at, "--no-follow"],
      ["cancel", ...at],
      ["resume", ...at, "--no-follow"],
    );
    for (const end of ends) {
      const answer = answerOf(end);
      assert.ok(end.code === 0 || answer.error?.code === "conflict", end.stderr);
    }
    const [followed] = await atOnce({ env }, ["status", ...at, "--follow"]);
    const said = answerOf(followed as CliResult);
    assert.ok(
      said.phase === "complete" || said.phase === "cancelled" || said.error?.code === "cancelled",
      `${followed?.stdout} ${followed?.stderr}`,
    );
    const [resumed] = await atOnce({ env }, ["resume", ...at, "--follow"]);
    assert.equal(answerOf(resumed as CliResult).phase, "complete", resumed?.stderr);
  });
});

describe("two of the same, each with a cluster of its own, in one store", () => {
  it("both train one run to its end, with the bytes of a run alone", async () => {
    const shared = await copyBackbones(store, join(folder, "shared"));
    const args = trainArgs(shared, "same", "--workers", "1");
    const ends = await atOnce({}, args, args);
    for (const end of ends) assert.equal(answerOf(end).phase, "complete", end.stderr);
    assertSameFiles(await resultsOf(shared, "same"), undisturbed);
  });
});
