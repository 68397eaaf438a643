import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import {
  bundleFiles,
  bundleManifest,
  datasetNormalization,
  ledger,
  namedNormalizations,
  ReleaseStack,
  sha256Hex,
  type BundleManifest,
  type Normalization,
} from "@trommel/common";
import { scoreRow } from "#common/artefacts/results/bundle";
import { decodeSafetensors } from "#common/codec/safetensors";
import * as ort from "onnxruntime-node";
import sharp from "sharp";
import { decodeRecipe } from "@trommel/common/recipe";
import { decodeImage } from "#gpu-worker/image/decode/decode-image";
import { jsonInProcess, RunningCli, runInProcess, trommel, trommelJson } from "../../support/process/cli.js";
import { drawDataset, writeFiles, type Pictures } from "../../support/images/dataset.js";
import { assertSameFiles, fileHashes, filesBelow } from "../../support/files/file-hashes.js";
import { descendantsOf, isRunning } from "../../support/process/processes.js";
import { startRedisServer } from "../../support/servers/redis-server.js";
import { temporaryFolder } from "../../support/files/temp-folder.js";
import {
  copyBackbones,
  storeWithTinyBackbone,
  tinyBackbone,
  writeTinyBackbone,
} from "../../support/models/tiny-backbone.js";
import { waitUntil } from "../../support/process/wait-until.js";

const labels = ["glass", "metal", "paper"];
const perClass = 12;
const side = tinyBackbone.inputSize;
const unreadable = new Map([
  ["metal/empty.jpg", ""],
  ["metal/text.jpg", "apples, batteries, a newspaper"],
]);

const folder = await temporaryFolder("dataset-normalization");
const dataset = join(folder, "labelled");
let store = "";
let pictures: Pictures;

/** For most runs: a cluster of one worker that takes shards alone and one that takes the rest. */
let cluster: { readonly env: Readonly<Record<string, string>> };
const releases = new ReleaseStack();

interface Asked {
  readonly run: string;
  readonly normalization: string;
  readonly shardSize?: number;
  readonly backbone?: string;
}

function trainArgs({ run, normalization, shardSize = 2, backbone = tinyBackbone.name }: Asked): string[] {
  return [
    ...["train", dataset, "--run", run, "--backbone", backbone, "--set", `normalization=${normalization}`],
    ...[
      "--shard-size",
      String(shardSize),
      "--views",
      "2",
      "--validation",
      "0.2",
      "--head",
      "se",
      "--epochs",
      "1",
    ],
    ...["--step", "8", "--follow", "--json"],
  ];
}

/** The first run, by an embedded cluster. */
const ownArgs = (of: string): string[] => [
  ...trainArgs({ run: "own", normalization: "dataset" }),
  ...["--store", of, "--workers", "1"],
];

async function train(asked: Asked): Promise<BundleManifest> {
  const { code, stderr } = await runInProcess(trainArgs(asked), cluster);
  assert.equal(code, 0, stderr);
  const file = join(store, "runs", asked.run, "bundle", bundleFiles.manifest);
  return bundleManifest.parse(JSON.parse(await readFile(file, "utf8")));
}

const normalizationOf = async (run: string) =>
  datasetNormalization.parse(
    JSON.parse(await readFile(join(store, "runs", run, "normalization.json"), "utf8")) as unknown,
  );

async function basePixels(bytes: Uint8Array): Promise<Uint8Array> {
  const decoded = await decodeImage(bytes, { ...decodeRecipe.parse({}), side });
  assert.ok(decoded.ok);
  return decoded.pixels;
}

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

interface Prediction {
  readonly rows: readonly {
    readonly top: readonly { readonly label: string; readonly probability: number }[];
  }[];
}

const asText = ({ mean, deviation }: Normalization): string =>
  JSON.stringify({ mean: [...mean], deviation: [...deviation] });

before(async () => {
  pictures = await drawDataset(labels, { to: perClass });
  await writeFiles(dataset, pictures);
  await writeFiles(dataset, unreadable);
  store = await storeWithTinyBackbone(folder);
  const redis = await startRedisServer();
  releases.add("redis", () => redis.stop());
  cluster = { env: { TROMMEL_REDIS_URL: redis.url(), TROMMEL_STORE: store } };
  for (const args of [
    ["coordinator"],
    ["worker", "--threads", "1", "--queues", "extract"],
    ["worker", "--threads", "1", "--queues", "reduce"],
  ]) {
    const part = new RunningCli(args, cluster);
    releases.add(args.join(" "), () => part.stop());
  }
});

after(async () => assert.deepEqual(await releases.releaseAll(), []));

describe("a run that is normalised by its dataset's own pixels", () => {
  let own: BundleManifest;
  const source = join(folder, "some");
  let some: Pictures;
  let asked: Promise<Prediction> | undefined;
  /** What predict says of some pictures, in their order. */
  const predicted = async () => {
    const files = [...some.keys()].map((key) => join(source, key));
    asked ??= jsonInProcess(["predict", ...files, "--model", "own", "--store", store]) as Promise<Prediction>;
    return (await asked).rows;
  };

  before(async () => {
    some = new Map([...pictures].filter((_, index) => index % 9 === 0));
    await writeFiles(source, some);
  });

  it("measures them as a second implementation does, and leaves out what cannot be read", async () => {
    const { stderr, code } = await trommel(ownArgs(store));
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
    assert.deepEqual(
      [counted.ok, counted.failed],
      [images, unreadable.size],
      "the ledger has the unreadable ones",
    );
  });

  it("says so in the bundle, and its model.onnx alone gives what predict does", async () => {
    const bundle = join(store, "runs/own/bundle");
    own = bundleManifest.parse(JSON.parse(await readFile(join(bundle, bundleFiles.manifest), "utf8")));
    const { mean, deviation } = await normalizationOf("own");
    assert.equal(own.recipe.normalization, "dataset");
    assert.deepEqual(own.backbones[0]?.normalization, { mean, deviation });
    const shown = mean.map((value) => value.toFixed(2)).join(" ");
    assert.ok((await readFile(join(bundle, bundleFiles.report), "utf8")).includes(`dataset: mean ${shown}`));
    const session = await ort.InferenceSession.create(join(bundle, bundleFiles.model), {
      logSeverityLevel: 3,
    });
    for (const [index, [key, file]] of [...some].entries()) {
      const fed = { pixels: new ort.Tensor("uint8", await basePixels(file), [1, side, side, 3]) };
      const given = (await session.run(fed))["probabilities"]?.data as Float32Array;
      const { top } = (await predicted())[index] ?? { top: [] };
      assert.equal(top.length, labels.length, key);
      for (const { label, probability } of top)
        assert.ok(Math.abs((given[own.labels.indexOf(label)] ?? NaN) - probability) < 1e-5, key);
    }
    await session.release();
  });

  it("is scored alike by the engine that does not run its graph", async () => {
    const output = join(folder, "scores");
    await trommelJson([
      ...["score", source, "--model", "own", "--output", output, "--store", store],
      ...["--engine", "tfjs", "--workers", "1"],
    ]);
    const lines = (await readFile(join(output, "part-00000.jsonl"), "utf8")).trim().split("\n");
    assert.equal(lines.length, some.size);
    for (const [index, line] of lines.entries()) {
      const { label, probability } = scoreRow.parse(JSON.parse(line));
      const [first] = (await predicted())[index]?.top ?? [];
      assert.equal(label, first?.label);
      assert.ok(Math.abs(probability - (first?.probability ?? NaN)) < 1e-4);
    }
  });

  it("shares its features with a run that is given the same figures, and gives the same model", async () => {
    const figures = await normalizationOf("own");
    const { manifest, added } = await featuresOf({ run: "given", normalization: asText(figures) });
    assert.deepEqual(added, []);
    assert.equal(manifest.hashes[bundleFiles.model], own.hashes[bundleFiles.model]);
  });

  it("gives the same bytes when it is killed while it measures, and resumed", async () => {
    const other = await copyBackbones(store, join(folder, "killed"));
    const cli = new RunningCli(ownArgs(other));
    const filesOf = async (part: string) =>
      (await filesBelow(join(other, "runs/own"))).filter((file) => file.startsWith(part));
    await waitUntil("a shard is measured", async () => (await filesOf("statistics/")).length > 0);
    const family = await descendantsOf(cli.pid);
    cli.kill("SIGKILL");
    await cli.end();
    for (const { pid } of family) await waitUntil("it has ended", async () => !(await isRunning(pid)));
    assert.deepEqual(await filesOf("normalization"), [], "it was killed in the middle");
    assert.deepEqual(await filesBelow(join(other, "features")), [], "nothing is extracted before");
    await trommelJson(["resume", "own", "--store", other, "--workers", "1"]);
    const leftBy = async (of: string) => {
      const files = [...(await fileHashes(join(of, "runs/own")))];
      return new Map(files.filter(([file]) => !file.includes(".trommel-partial-")));
    };
    assertSameFiles(await leftBy(other), await leftBy(store));
    const statistics = (await filesOf("statistics/")).filter((file) => !file.includes(".trommel-partial-"));
    assert.equal(statistics.length, 2 * Math.ceil((labels.length * perClass + unreadable.size) / 2));
  });

  it("measures the same whatever the size of its shards", async () => {
    const manifest = await train({ run: "cut", normalization: "dataset", shardSize: 7 });
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
    const { code, stderr } = await runInProcess(
      args.map((arg) => (arg === dataset ? place : arg)),
      cluster,
    );
    assert.equal(code, 1);
    assert.match(stderr, /cannot normalize by the dataset's pixels: red, green, blue has the same value/);
    assert.deepEqual(await filesBelow(join(store, "features")), earlier);
  });
});

describe("a run with a given normalisation", () => {
  it("has the features that its backbone has when it is imported so", async () => {
    const model = await writeTinyBackbone(join(folder, "tiny-backbone"));
    await trommelJson([
      ...["backbone", "import", model, "--name", "tiny-torch", "--normalize", "torch", "--store", store],
    ]);
    const one = { shardSize: 100 };
    const plain = await featuresOf({ ...one, run: "plain", normalization: "backbone" });
    const tf = await featuresOf({ ...one, run: "tf", normalization: asText(namedNormalizations.tf) });
    const torch = await featuresOf({ ...one, run: "torch", normalization: "torch" });
    const imported = await featuresOf({
      ...one,
      run: "imported",
      normalization: "backbone",
      backbone: "tiny-torch",
    });
    assert.equal(plain.added.length, 1);
    assert.deepEqual(tf.added, plain.added);
    assert.notDeepEqual(torch.added, plain.added);
    assert.deepEqual(torch.added, imported.added);
    assert.deepEqual(torch.manifest.backbones[0]?.normalization, namedNormalizations.torch);
    assert.deepEqual(plain.manifest.backbones[0]?.normalization, namedNormalizations.tf);
  });
});
