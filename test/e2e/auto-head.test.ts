import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { runKeys } from "@trommel/common";
import { decodeFoldResult, noFold, testPart, type Choice } from "@trommel/common/artefacts";
import { temporaryFolder } from "../support/files/temp-folder.js";
import { tinyBackbone } from "../support/models/tiny-backbone.js";
import { trommel, trommelJson } from "../support/process/cli.js";
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

  it("refuses settings that it does not use", async () => {
    const { code, stderr } = await trommel([
      ...["train", runs.dataset, "--backbone", tinyBackbone.name, "--store", runs.store, "--epochs", "3"],
    ]);
    assert.equal(code, 2);
    assert.match(stderr, /training\.epochs has no effect with the head auto.*--head se/);
  });
});
