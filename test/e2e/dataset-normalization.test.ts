import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import {
  bundleFiles,
  bundleManifest,
  datasetNormalization,
  ledger,
  namedNormalizations,
  sha256Hex,
  type BundleManifest,
  type Normalization,
} from "@trommel/common";
import { scoreRow } from "@trommel/common/artefacts/bundle";
import { decodeSafetensors } from "@trommel/common/codec/safetensors";
import * as ort from "onnxruntime-node";
import sharp from "sharp";
import { RunningCli, trommel, trommelJson } from "../support/cli.js";
import { badFiles, drawDataset, writeFiles, type Pictures } from "../support/dataset.js";
import { assertSameFiles, fileHashes, filesBelow } from "../support/file-hashes.js";
import { descendantsOf, type RunningProcess } from "../support/processes.js";
import { temporaryFolder } from "../support/temp-folder.js";
import { copyBackbones, storeWithTinyBackbone, tinyBackbone } from "../support/tiny-backbone.js";
import { waitUntil } from "../support/wait-until.js";

const labels = ["glass", "metal", "paper"];
const perClass = 20;
const side = tinyBackbone.inputSize;

const folder = await temporaryFolder("dataset-normalization");
const dataset = join(folder, "labelled");
let store = "";
let pictures: Pictures;

interface Asked {
  readonly run: string;
  readonly normalization: string;
  readonly shardSize?: number;
  readonly backbone?: string;
  readonly store?: string;
}

function trainArgs({ run, normalization, shardSize = 6, backbone = tinyBackbone.name, ...given }: Asked) {
  return [
    ...["train", dataset, "--store", given.store ?? store, "--run", run, "--backbone", backbone],
    ...["--set", `normalization=${normalization}`, "--shard-size", String(shardSize), "--views", "2"],
    ...["--epochs", "5", "--step", "8", "--validation", "0.2", "--workers", "1", "--follow"],
  ];
}

async function train(asked: Asked): Promise<BundleManifest> {
  await trommelJson(trainArgs(asked));
  const file = join(asked.store ?? store, "runs", asked.run, "bundle", bundleFiles.manifest);
  return bundleManifest.parse(JSON.parse(await readFile(file, "utf8")));
}

const normalizationOf = async (run: string, of = store) =>
  datasetNormalization.parse(
    JSON.parse(await readFile(join(of, "runs", run, "normalization.json"), "utf8")) as unknown,
  );

/** The base image by sharp alone. */
const basePixels = (bytes: Uint8Array): Promise<Buffer> =>
  sharp(bytes).resize(side, side, { fit: "fill", kernel: "lanczos3" }).raw().toBuffer();

/** Folders of features, and in each the bytes of the embeddings of all shards in order of their names. */
async function featureBytes(): Promise<Map<string, string>> {
  const found = new Map<string, Buffer[]>();
  for (const file of await filesBelow(join(store, "features"))) {
    if (!file.endsWith(".safetensors")) continue;
    const [fingerprint = ""] = file.split("/");
    const bytes = await readFile(join(store, "features", file));
    const { data } = decodeSafetensors(bytes, { name: file }).tensors["features"] ?? {};
    assert.ok(data !== undefined);
    const embeddings = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
    found.set(fingerprint, [...(found.get(fingerprint) ?? []), embeddings]);
  }
  return new Map([...found].map(([name, parts]) => [name, sha256Hex(Buffer.concat(parts))]));
}

/** What a training adds to the features: a folder and the hash of its embeddings, or nothing. */
async function featuresOf(asked: Asked): Promise<{ manifest: BundleManifest; added: string[] }> {
  const earlier = await featureBytes();
  const manifest = await train(asked);
  const added = [...(await featureBytes())].filter(([name]) => !earlier.has(name)).map(([, hash]) => hash);
  return { manifest, added };
}

const asText = ({ mean, deviation }: Normalization): string =>
  JSON.stringify({ mean: [...mean], deviation: [...deviation] });

before(async () => {
  pictures = await drawDataset(labels, { to: perClass });
  await writeFiles(dataset, pictures);
  for (const [name, { bytes }] of await badFiles())
    await writeFiles(dataset, new Map([[`metal/${name}`, bytes]]));
  store = await storeWithTinyBackbone(folder);
});

describe("a run that is normalised by its dataset's own pixels", () => {
  let own: BundleManifest;

  it("measures them as a second implementation does, and leaves out what cannot be read", async () => {
    const { stderr, code } = await trommel([
      ...trainArgs({ run: "own", normalization: "dataset" }),
      "--json",
    ]);
    assert.equal(code, 0, stderr);
    assert.match(stderr, /normalize 1\/1 jobs/);
    const { mean, deviation, images } = await normalizationOf("own");
    assert.equal(images, labels.length * perClass);
    const all = await Promise.all([...pictures.values()].map(basePixels));
    for (const channel of [0, 1, 2]) {
      let count = 0;
      let sum = 0;
      let squareSum = 0;
      for (const pixels of all) {
        for (let i = channel; i < pixels.length; i += 3) {
          const value = (pixels[i] ?? NaN) / 255;
          count += 1;
          sum += value;
          squareSum += value * value;
        }
      }
      const expected = sum / count;
      assert.ok(Math.abs((mean[channel] ?? NaN) / 255 - expected) < 1e-9);
      const spread = Math.sqrt(squareSum / count - expected * expected);
      assert.ok(Math.abs((deviation[channel] ?? NaN) / 255 - spread) < 1e-9);
    }
    const counted = ledger.parse(JSON.parse(await readFile(join(store, "runs/own/ledger.json"), "utf8")));
    assert.deepEqual([counted.ok, counted.failed], [images, 5], "the ledger has the unreadable ones");
  });

  it("says so in the bundle, and its model.onnx alone gives what predict does", async () => {
    const bundle = join(store, "runs/own/bundle");
    own = bundleManifest.parse(JSON.parse(await readFile(join(bundle, bundleFiles.manifest), "utf8")));
    const { mean, deviation } = await normalizationOf("own");
    assert.equal(own.recipe.normalization, "dataset");
    assert.deepEqual(own.backbones[0]?.normalization, { mean, deviation });
    const shown = mean.map((value) => value.toFixed(2)).join(" ");
    assert.ok((await readFile(join(bundle, bundleFiles.report), "utf8")).includes(`dataset: mean ${shown}`));
    const keys = ["glass/003.png", "paper/011.png"];
    const files = keys.map((key) => join(dataset, key));
    const predicted = (await trommelJson([
      ...["predict", ...files, "--model", "own", "--top", "3", "--store", store],
    ])) as { rows: { top: { label: string; probability: number }[] }[] };
    const session = await ort.InferenceSession.create(join(bundle, bundleFiles.model), {
      logSeverityLevel: 3,
    });
    for (const [index, key] of keys.entries()) {
      const pixels = await basePixels(pictures.get(key) ?? Buffer.alloc(0));
      const fed = { pixels: new ort.Tensor("uint8", pixels, [1, side, side, 3]) };
      const given = (await session.run(fed))["probabilities"]?.data as Float32Array;
      for (const { label, probability } of predicted.rows[index]?.top ?? [])
        assert.ok(Math.abs((given[own.labels.indexOf(label)] ?? NaN) - probability) < 1e-5);
    }
    await session.release();
  });

  it("is scored alike by the engine that does not run its graph", async () => {
    const source = join(folder, "some");
    await writeFiles(source, new Map([...pictures].slice(0, 4)));
    const rows = [];
    for (const engine of ["onnx", "tfjs"]) {
      const output = join(folder, `scores-${engine}`);
      await trommelJson([
        ...["score", source, "--model", "own", "--output", output, "--store", store],
        ...["--engine", engine, "--workers", "1"],
      ]);
      const lines = (await readFile(join(output, "part-00000.jsonl"), "utf8")).trim().split("\n");
      rows.push(lines.map((line) => scoreRow.parse(JSON.parse(line))));
    }
    const [onnx = [], tfjs = []] = rows;
    assert.equal(onnx.length, 4);
    for (const [index, { label, probability }] of onnx.entries()) {
      assert.equal(tfjs[index]?.label, label);
      assert.ok(Math.abs((tfjs[index]?.probability ?? NaN) - probability) < 1e-4);
    }
  });

  it("shares its features with a run that is given the same figures, and gives the same model", async () => {
    const figures = await normalizationOf("own");
    const { manifest, added } = await featuresOf({ run: "given", normalization: asText(figures) });
    assert.deepEqual(added, []);
    assert.equal(manifest.hashes[bundleFiles.model], own.hashes[bundleFiles.model]);
  });

  it("gives the same bytes when its worker is killed while it measures", async () => {
    const other = await copyBackbones(store, join(folder, "killed"));
    const cli = new RunningCli(trainArgs({ run: "own", normalization: "dataset", store: other }));
    const measured = () => filesBelow(join(other, "runs/own/statistics"));
    await waitUntil("a shard is measured", async () => (await measured()).length > 0);
    const worker = (await descendantsOf(cli.pid)).find(({ args }: RunningProcess) => args.includes("worker"));
    assert.ok(worker !== undefined);
    process.kill(worker.pid, "SIGKILL");
    assert.deepEqual(await filesBelow(join(other, "features")), [], "nothing is extracted before");
    const { code, stderr } = await cli.end(90_000);
    assert.equal(code, 0, stderr);
    const runFiles = async (of: string) =>
      new Map(
        [...(await fileHashes(join(of, "runs/own")))].filter(([file]) => !file.includes(".trommel-partial-")),
      );
    assertSameFiles(await runFiles(other), await runFiles(store));
    const files = [...(await runFiles(other)).keys()].filter((file) => file.startsWith("statistics/"));
    assert.equal(files.length, 2 * Math.ceil((labels.length * perClass + 5) / 6));
  });

  it("measures the same whatever the size of its shards", async () => {
    const { manifest } = await featuresOf({ run: "cut", normalization: "dataset", shardSize: 11 });
    assert.deepEqual(await normalizationOf("cut"), await normalizationOf("own"));
    assert.deepEqual(manifest.backbones, own.backbones);
  });

  it("is refused where the pictures have no spread, before anything is extracted", async () => {
    const flat = await sharp({ create: { width: 40, height: 40, channels: 3, background: "#806040" } })
      .png()
      .toBuffer();
    const place = join(folder, "flat");
    for (const key of ["a/1.png", "a/2.png", "b/1.png", "b/2.png"])
      await writeFiles(place, new Map([[key, flat]]));
    const args = trainArgs({ run: "flat", normalization: "dataset" });
    const earlier = await filesBelow(join(store, "features"));
    const { code, stderr } = await trommel(args.map((arg) => (arg === dataset ? place : arg)));
    assert.equal(code, 1);
    assert.match(stderr, /failed to measure the dataset's pixels: red, green, blue has one value/);
    assert.deepEqual(await filesBelow(join(store, "features")), earlier);
  });
});

describe("a run with a given normalisation", () => {
  it("has the features that its backbone has when it is imported so", async () => {
    const model = join(folder, "tiny-backbone/model.json");
    await trommelJson([
      ...["backbone", "import", model, "--name", "tiny-torch", "--normalize", "torch", "--store", store],
    ]);
    const plain = await featuresOf({ run: "plain", normalization: "backbone" });
    const tf = await featuresOf({ run: "tf", normalization: asText(namedNormalizations.tf) });
    const torch = await featuresOf({ run: "torch", normalization: "torch" });
    const imported = await featuresOf({ run: "imported", normalization: "backbone", backbone: "tiny-torch" });
    assert.equal(plain.added.length, 1);
    assert.deepEqual(tf.added, plain.added);
    assert.notDeepEqual(torch.added, plain.added);
    assert.deepEqual(torch.added, imported.added);
    assert.deepEqual(torch.manifest.backbones[0]?.normalization, namedNormalizations.torch);
    assert.deepEqual(plain.manifest.backbones[0]?.normalization, namedNormalizations.tf);
    assert.ok((await featureBytes()).size >= 6, "each has a folder of its own");
  });
});
