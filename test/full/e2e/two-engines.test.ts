import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { decodeFeatureShard, type FeatureShard, type ScoreRow } from "@trommel/common";
import { trommelJson } from "../../support/process/cli.js";
import { drawDataset, drawUnlabelled, writeFiles } from "../../support/images/dataset.js";
import { filesBelow } from "../../support/files/file-hashes.js";
import { temporaryFolder } from "../../support/files/temp-folder.js";
import { copyBackbones, storeWithTinyBackbone, tinyBackbone } from "../../support/models/tiny-backbone.js";

const engines = ["onnx", "tfjs"] as const;
type Engine = (typeof engines)[number];

const labels = ["glass", "metal", "paper"];
const folder = await temporaryFolder("two-engines");
const dataset = join(folder, "labelled");
const unlabelled = join(folder, "unlabelled");
const storeOf: Record<Engine, string> = { onnx: "", tfjs: join(folder, "tfjs-store") };

const clusterOf = (engine: Engine): string[] => [
  ...["--store", storeOf[engine], "--engine", engine, "--workers", "1", "--follow"],
];

/** Views with every kind of change, so that both engines sample and recolour. */
const train = (engine: Engine): Promise<unknown> =>
  trommelJson([
    ...["train", dataset, "--run", "both", "--backbone", tinyBackbone.name, ...clusterOf(engine)],
    ...[
      "--views",
      "4",
      "--shard-size",
      "8",
      "--head",
      "se",
      "--epochs",
      "8",
      "--step",
      "8",
      "--validation",
      "0.2",
    ],
    ...["--set", "views.brightness=0.2", "--set", "views.saturation=0.3", "--set", "views.quarterTurns=true"],
  ]);

async function shardsOf(engine: Engine): Promise<Map<string, FeatureShard>> {
  const features = join(storeOf[engine], "features");
  const names = (await filesBelow(features)).filter((name) => name.endsWith(".safetensors"));
  const shards = new Map<string, FeatureShard>();
  for (const name of names.sort()) {
    const bytes = await readFile(join(features, name));
    shards.set(name, decodeFeatureShard(bytes, name, tinyBackbone.dimension));
  }
  return shards;
}

async function scoresOf(engine: Engine): Promise<ScoreRow[]> {
  const output = join(folder, `scores-${engine}`);
  // The bundle of one engine, scored by both.
  const model = join(storeOf.onnx, "runs/both/bundle");
  await trommelJson(["score", unlabelled, "--model", model, "--output", output, ...clusterOf(engine)]);
  const text = await readFile(join(output, "part-00000.jsonl"), "utf8");
  return text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as ScoreRow);
}

before(async () => {
  await writeFiles(dataset, await drawDataset(labels, { to: 8 }));
  await writeFiles(unlabelled, (await drawUnlabelled(labels, 9, 3)).files);
  storeOf.onnx = await storeWithTinyBackbone(folder);
  await copyBackbones(storeOf.onnx, storeOf.tfjs);
});

describe("a worker on TensorFlow.js and one on ONNX Runtime", () => {
  it("extract the same shards, views included, to 1e-4 relative", async () => {
    for (const engine of engines) await train(engine);
    const onnx = await shardsOf("onnx");
    const tfjs = await shardsOf("tfjs");
    assert.equal(onnx.size, 3);
    assert.deepEqual([...tfjs.keys()], [...onnx.keys()]);
    for (const [name, expected] of onnx) {
      const found = tfjs.get(name);
      assert.ok(found !== undefined);
      assert.deepEqual([found.image, found.view], [expected.image, expected.view]);
      assert.equal(expected.image.length, 8 * 4);
      const largest = expected.features.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      const differences = expected.features.map((value, i) => Math.abs(value - (found.features[i] ?? NaN)));
      assert.ok(largest > 0.1 && Math.max(...differences) <= 1e-4 * largest, name);
      // Views differ from one another, or the comparison would say little about them.
      const width = tinyBackbone.dimension;
      const change = expected.features.subarray(0, width).map((value, i) => {
        return Math.abs(value - (expected.features[width + i] ?? NaN));
      });
      assert.ok(Math.max(...change) > 1e-2 * largest, `${name}: view 1 is as view 0`);
    }
  });

  it("score the same pictures with one bundle alike", async () => {
    const onnx = await scoresOf("onnx");
    const tfjs = await scoresOf("tfjs");
    assert.deepEqual(
      tfjs.map(({ key, label }) => [key, label]),
      onnx.map(({ key, label }) => [key, label]),
    );
    assert.equal(onnx.length, 9);
    for (const [i, row] of onnx.entries())
      assert.ok(Math.abs(row.probability - (tfjs[i]?.probability ?? NaN)) < 1e-4);
  });
});
