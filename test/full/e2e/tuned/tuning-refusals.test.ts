import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { runKeys } from "@trommel/common";
import { temporaryFolder } from "../../../support/files/temp-folder.js";
import { trommel, type CliResult } from "../../../support/process/cli.js";
import { AutoRuns } from "../../../support/runs/auto-runs.js";

/** What stops a tuning after it was queued, by the command line: what to do is said, and nothing of it counts. */

const folder = await temporaryFolder("tuning-refusals");
let runs: AutoRuns;

before(async () => {
  runs = await AutoRuns.create(folder);
});

async function refused(run: string, ...fields: readonly string[]): Promise<CliResult> {
  const sets = ["tune.batchSize=8", "head.learningCurve=false", ...fields].flatMap((field) => [
    "--set",
    field,
  ]);
  const result = await trommel([...runs.args(run), "--tune", ...sets], { timeoutMs: 180_000 });
  assert.notEqual(result.code, 0);
  assert.ok(!existsSync(join(runs.store, runKeys(run).tuning.backbone)));
  const backbones = await readdir(join(runs.store, "backbones"));
  assert.ok(!backbones.some((name) => name.includes(run)));
  return result;
}

describe("a tuning that cannot go on", () => {
  it("is refused as soon as folders are listed that have not the classes it weights", async () => {
    const { stderr } = await refused("weights", 'tune.classWeights={"glass":2,"wood":3}');
    assert.match(stderr, /tune\.classWeights has a weight for wood, but the classes are glass, metal, paper/);
    assert.ok(!existsSync(join(runs.store, runKeys("weights").tuning.plan)));
  });

  it("stops with what to lower at a rate that diverges at once", async () => {
    const { stderr } = await refused(
      "hot",
      'tune.optimizer={"type":"sgd","learningRate":1e30}',
      "tune.epochs=2",
    );
    assert.match(
      stderr,
      / is (not finite|\d\.\de\+\d+)\. Lower tune\.optimizer\.learningRate, which is 1e\+30/,
    );
    const { stdout } = await trommel(["status", "hot", "--store", runs.store]);
    assert.match(stdout, /(tune|merge) failed: cannot tune hot: the loss of step/);
  });

  it("says how small a batch must be for the images that there are", async () => {
    const { stderr } = await refused("wide", "tune.batchSize=40", "tune.replicas=2");
    assert.match(stderr, /each of the 2 replicas has \d+ of them\. Set tune\.batchSize to \d+ or less/);
  });
});
