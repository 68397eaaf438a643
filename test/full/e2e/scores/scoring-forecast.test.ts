import assert from "node:assert/strict";
import { cp, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { ReleaseStack } from "@trommel/common";
import { drawDataset, drawUnlabelled, writeFiles } from "../../../support/images/dataset.js";
import { temporaryFolder } from "../../../support/files/temp-folder.js";
import { jsonInProcess, RunningCli, runInProcess, trommelJson } from "../../../support/process/cli.js";
import { waitUntil } from "../../../support/process/wait-until.js";
import { startRedisServer } from "../../../support/servers/redis-server.js";

interface Forecast {
  readonly id: string;
  readonly images: number;
  readonly workers: number | null;
  readonly estimate: {
    readonly from: string | null;
    readonly workers: number | null;
    readonly seconds: number;
  } | null;
}

const folder = await temporaryFolder("scoring-forecast");
const store = join(folder, "store");
const source = join(folder, "source");
const labels = ["glass", "metal"];
const images = 300;
const releases = new ReleaseStack();
after(async () => {
  assert.deepEqual(await releases.releaseAll(), []);
});

/** For machines that have other things to do. */
const patient = { timeoutMs: 600_000 };

function scoreArgs(to: string, ...more: string[]): string[] {
  return [
    ...["score", source, "--model", "model", "--output", join(folder, to), "--store", store],
    ...["--shard-size", "8", ...more],
  ];
}

const forecast = async (to: string): Promise<Forecast> =>
  (await jsonInProcess(scoreArgs(to, "--dry-run"))) as Forecast;

/** Scores the source. @returns from its start to its end, in whole seconds, by the store's own clock */
async function score(to: string): Promise<number> {
  const { id } = (await trommelJson(scoreArgs(to, "--workers", "1"), patient)) as { id: string };
  const status = ["status", "--store", store];
  const { runs } = (await jsonInProcess(status)) as {
    runs: { id: string; startedAt: string; endedAt: string }[];
  };
  const found = runs.find((run) => run.id === id);
  assert.ok(found !== undefined);
  return (Date.parse(found.endedAt) - Date.parse(found.startedAt)) / 1000;
}

async function filesOf(of: string): Promise<string[]> {
  return (await readdir(of, { recursive: true })).sort();
}

/** From the scoring's own file to the last marker of its parts. */
async function secondsOf(scoring: string, output: string): Promise<number> {
  const markers = (await readdir(output)).filter((name) => name.endsWith(".jsonl.json"));
  const ended = await Promise.all(markers.map(async (name) => (await stat(join(output, name))).mtimeMs));
  return (Math.max(...ended) - (await stat(join(scoring, "scoring.json"))).mtimeMs) / 1000;
}

before(async () => {
  await writeFiles(source, (await drawUnlabelled(labels, images, 3)).files);
  const labelled = join(folder, "labelled");
  await writeFiles(labelled, await drawDataset(labels, { to: 10 }));
  const backbone = ["--arch", "mobilenet-v1-0.25", "--name", "small", "--store", store];
  await trommelJson(["backbone", "random", ...backbone], patient);
  await trommelJson(
    [
      ...["train", labelled, "--store", store, "--run", "model", "--workers", "1", "--views", "1"],
      ...["--backbone", "small", "--head", "se", "--epochs", "2", "--step", "8"],
    ],
    patient,
  );
});

describe("score --dry-run", () => {
  it("lets a worker measure where there is no scoring to go by, and is right within a factor of 1.5 too", async () => {
    const factors: number[] = [];
    for (const trial of ["one", "two", "three"]) {
      // A store of its own, since a finished scoring would be gone by.
      const own = join(folder, `store-${trial}`);
      await cp(store, own, { recursive: true });
      const files = await filesOf(own);
      const args = [
        ...["score", source, "--model", "model", "--output", join(folder, `by-probe-${trial}`)],
        ...["--store", own, "--shard-size", "64", "--workers", "1"],
      ];
      const found = (await trommelJson([...args, "--dry-run"], patient)) as Forecast;
      const { from, workers, seconds = 0 } = found.estimate ?? {};
      assert.deepEqual([found.images, found.workers, from, workers], [images, null, null, 1]);
      assert.deepEqual(await filesOf(own), files);
      await assert.rejects(stat(join(folder, `by-probe-${trial}`)), { code: "ENOENT" });
      await trommelJson(args, patient);
      const took = await secondsOf(join(own, "scorings", found.id), join(folder, `by-probe-${trial}`));
      factors.push(Math.max(seconds / took, took / seconds));
      if (Math.min(...factors) <= 1.5) return;
    }
    assert.fail(`outcome and estimate differ by the factors ${factors.join(", ")}`);
  });

  it("says how long a scoring takes within a factor of 1.5, by the one before it", async () => {
    const factors: number[] = [];
    await score("first");
    // What else the machine does may change between two scorings; it does not between each of three.
    for (const to of ["second", "third", "fourth"]) {
      const estimate = (await forecast(to)).estimate?.seconds ?? 0;
      const seconds = await score(to);
      factors.push(Math.max(estimate / seconds, seconds / estimate));
    }
    assert.ok(
      Math.min(...factors) <= 1.5,
      `outcome and estimate differ by the factors ${factors.join(", ")}`,
    );
  });

  it("counts the workers of the cluster", async () => {
    const redis = await startRedisServer();
    releases.add("redis", () => redis.stop());
    const args = scoreArgs("cluster", "--dry-run", "--redis", redis.url());
    assert.match((await runInProcess(args)).stdout, /no worker serves the queue score now/);
    const worker = new RunningCli(["worker", "--store", store, "--redis", redis.url()]);
    releases.add("worker", () => worker.stop());
    await waitUntil(
      "the worker is there",
      async () => ((await jsonInProcess(args)) as Forecast).workers === 1,
      120_000,
    );
  });
});
