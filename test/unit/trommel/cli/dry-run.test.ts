import assert from "node:assert/strict";
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { writeFiles } from "../../../support/images/dataset.js";
import { filesBelow } from "../../../support/files/file-hashes.js";
import { temporaryFolder } from "../../../support/files/temp-folder.js";
import { storeWithTinyBackbone, tinyBackbone } from "../../../support/models/tiny-backbone.js";
import { runInProcess } from "../../../support/process/cli.js";

const folder = await temporaryFolder("dry-run");
const dataset = join(folder, "pictures");
let store = "";

before(async () => {
  store = await storeWithTinyBackbone(folder);
  const keys = ["a", "b"].flatMap((label) =>
    Array.from({ length: 50 }, (_, number) => `${label}/${number}.png`),
  );
  await writeFiles(dataset, new Map([...keys, "a/.hidden.png", "stray.png"].map((key) => [key, key])));
});

/** Without a Redis, so without workers. */
const dryRun = (...flags: string[]) =>
  runInProcess(
    [
      ...["train", dataset, "--store", store, "--backbone", tinyBackbone.name, "--run", "planned"],
      ...["--dry-run", ...flags],
    ],
    { env: { TROMMEL_REDIS_SERVER: join(folder, "no-redis") } },
  );

describe("train --dry-run", () => {
  it("says how many images there are, and writes nothing", async () => {
    const before = await filesBelow(store);
    const { code, stdout } = await dryRun();
    assert.deepEqual([code, stdout], [0, "planned: 100 labelled images of 2 classes\n"]);
    assert.deepEqual(await filesBelow(store), before);
    assert.deepEqual(await readdir(store), ["backbones"]);
  });

  it("says how many steps and rounds a tuning has: 68 of 100 images are in four of five folds and not tested on", async () => {
    const flags = ["--tune", "--set", "tune.batchSize=8", "--set", "tune.epochs=3"];
    const { stdout } = await dryRun(...flags, "--set", "tune.replicas=2", "--set", "tune.localSteps=3");
    const [steps, time] = [stdout.trim().split("\n").slice(1, 3), stdout.trim().split("\n")[3]];
    assert.match(time ?? "", /^time: unknown, because cannot start .*no-redis.*Install redis-server/);
    assert.deepEqual(steps, [
      "tuning: about 68 images, without the held-out and the test part",
      "about 12 steps of each of 2 replicas (3 epochs of 4) on 8 images each, in 6 rounds of at most 3 steps",
    ]);
    const { stdout: json } = await dryRun(...flags, "--json");
    const { timeUnknown, ...tuning } = (JSON.parse(json) as { tuning: { timeUnknown: string } }).tuning;
    assert.match(timeUnknown, /^cannot start/);
    assert.deepEqual(tuning, {
      ...{ images: 68, batchSize: 8, replicas: 1, epochs: 3, stepsPerEpoch: 8, localSteps: 8 },
      ...{ roundsPerEpoch: 1, rounds: 3, isEstimate: true, networks: 1, folds: null, time: null },
    });
  });

  it("says the same of each of the networks of several folds, and of the one that sees every image", async () => {
    const flags = ["--tune", "--set", "tune.batchSize=8", "--set", "tune.epochs=3", "--set", "tune.folds=4"];
    const { stdout } = await dryRun(...flags);
    assert.deepEqual(stdout.trim().split("\n").slice(1, 5), [
      "tuning: about 100 images, without a test part, if the recipe has one",
      "about 36 steps (3 epochs of 12) on 8 images each, in 3 rounds of at most 12 steps",
      "and for the figures 4 networks, each without one of 4 folds: about 75 images",
      "about 27 steps (3 epochs of 9) on 8 images each, in 3 rounds of at most 9 steps",
    ]);
  });

  it("says it once where the model takes the networks of the folds", async () => {
    const flags = ["--tune", "--set", "tune.batchSize=8", "--set", "tune.epochs=3", "--set", "tune.folds=4"];
    const { stdout } = await dryRun(...flags, "--set", "tune.networks=folds");
    assert.deepEqual(stdout.trim().split("\n").slice(1, 3), [
      "tuning: 4 networks, each without one of 4 folds: about 75 images",
      "about 27 steps (3 epochs of 9) on 8 images each, in 3 rounds of at most 9 steps",
    ]);
  });

  it("refuses what the training would refuse", async () => {
    const { code, stderr } = await dryRun("--tune", "--set", "tune.batchSize=100");
    assert.equal(code, 2);
    assert.match(
      stderr,
      /on 68 images in batches of 100: a batch has more\. Set tune\.batchSize to 68 or less/,
    );
    assert.match((await dryRun("--tune", "--set", "tune.blocks=[top]")).stderr, /cannot tune top/);
  });
});

describe("score --dry-run", () => {
  const model = fileURLToPath(
    new URL("../../../../stores/2026-11-28/bucket/store/runs/first/bundle", import.meta.url),
  );
  const scored = (prefix: string, manifest: string) =>
    runInProcess([
      ...["score", prefix, "--manifest", manifest, "--model", model, "--store", store],
      ...["--output", join(folder, "scores"), "--dry-run"],
    ]);

  it("says how many images of a manifest do not exist, and counts one as one", async () => {
    const list = join(folder, "list.csv");
    await writeFile(list, "key\na/1.png\npictures/a/2.png\npictures/a/3.png\n");
    const { stdout } = await scored(dataset, list);
    // Each picture holds its own key.
    assert.match(stdout, /: 3 images to score in 1 shard \(3 objects, 7 bytes\), 0 skipped\n/);
    assert.match(
      stdout,
      /\n2 of them do not exist and would fail, such as "pictures\/a\/2\.png"\. Check the keys/,
    );
    await writeFile(list, "key\npictures/a/2.png\n");
    const one = await scored(dataset, list);
    assert.match(one.stdout, /: 1 image to score in 1 shard \(1 object, 0 bytes\)/);
    assert.match(one.stdout, /\n1 of them does not exist/);
    await writeFile(list, "key\na/1.png\n");
    assert.doesNotMatch((await scored(dataset, list)).stdout, /not exist/);
  });
});
