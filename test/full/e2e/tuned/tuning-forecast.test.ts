import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { pathToFileURL } from "node:url";
import { ReleaseStack } from "@trommel/common";
import { temporaryFolder } from "../../../support/files/temp-folder.js";
import { RunningCli, trommel, trommelBin, type CliResult } from "../../../support/process/cli.js";
import { AutoRuns } from "../../../support/runs/auto-runs.js";
import { startRedisServer } from "../../../support/servers/redis-server.js";

/** What is said of a tuning before it starts, on a cluster of the command's own and on one that is there. */

const folder = await temporaryFolder("tuning-forecast");
const releases = new ReleaseStack();
let runs: AutoRuns;
let redisUrl = "";

const tune = ["--tune", "--set", "head.learningCurve=false", "--set", "tune.batchSize=8"];

before(async () => {
  runs = await AutoRuns.create(folder);
  const server = await startRedisServer();
  releases.add("server", () => server.stop());
  redisUrl = server.url();
});
after(async () => assert.deepEqual(await releases.releaseAll(), []));

/** Without workers of the command's own. */
function onCluster(run: string, ...flags: string[]): Promise<CliResult> {
  const args = runs.args(run);
  args.splice(args.indexOf("--workers"), 2);
  return trommel([...args, ...tune, ...flags, "--redis", redisUrl], { timeoutMs: 120_000 });
}

/** @param bin of a command that is not trommel's own */
async function start(sign: string, args: readonly string[], bin?: string): Promise<void> {
  const server = new RunningCli(args, bin === undefined ? {} : { bin });
  releases.add(sign, () => server.stop());
  await server.says(sign);
}

/** A worker that gives up at once what is under way when it is told to stop; no flag goes below a second. */
async function startHastyWorker(): Promise<void> {
  const bin = join(folder, "hasty-worker.mjs");
  const api = new URL("../dist/index.js", pathToFileURL(trommelBin));
  const options = { redis: redisUrl, store: runs.store, threads: 1, drainMs: 0 };
  const call = `process.exitCode = await startWorker(${JSON.stringify(options)});`;
  await writeFile(bin, `import { startWorker } from ${JSON.stringify(api.href)};\n${call}\n`);
  await start("extract", [], bin);
}

describe("the forecast of a tuning", () => {
  it("measures a step on a worker of the command's own", async () => {
    const args = [...runs.args("ahead"), ...tune, "--set", "tune.epochs=2"];
    const { stdout, stderr } = await trommel([...args, "--dry-run", "--json"], { timeoutMs: 120_000 });
    const { tuning } = JSON.parse(stdout) as {
      tuning: { timeUnknown: string | null; time: Record<string, number> };
    };
    assert.equal(tuning.timeUnknown, null);
    const { workers, stepSeconds = 0, roundSeconds = 0, seconds = 0 } = tuning.time;
    assert.equal(workers, 1);
    // Two rounds of an epoch each.
    assert.ok(stepSeconds > 0 && roundSeconds > stepSeconds);
    assert.ok(Math.abs(seconds - 2 * roundSeconds) < 1e-9);
    assert.match(stderr, /^time: about \d+ s of tuning on 1 worker, a round \d+ s, by a step of \S+ s$/m);
  });

  it("says why the time is unknown, and refuses rounds that are longer than a worker's drain, before the first", async () => {
    await start("coordinator", ["coordinator", "--redis", redisUrl, "--store", runs.store]);
    const unknown = await onCluster("late", "--dry-run");
    assert.equal(unknown.code, 0);
    assert.match(unknown.stdout, /^time: unknown, because no worker serves the queue tune/m);
    await startHastyWorker();
    const refused = /in rounds of \d+ steps: .* Set tune\.localSteps to 1 and lower tune\.batchSize/;
    const ahead = await onCluster("late", "--dry-run");
    assert.deepEqual([ahead.code, ahead.stdout], [2, ""]);
    assert.match(ahead.stderr, refused);
    const started = await onCluster("late", "--follow");
    assert.notEqual(started.code, 0);
    assert.match(started.stderr, refused);
    const { stdout } = await trommel(["status", "late", "--redis", redisUrl, "--store", runs.store]);
    assert.match(stdout, /plan-tune failed: cannot tune late in rounds/);
    assert.match(stdout, /tune +0\//);
  });
});
