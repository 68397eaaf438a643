import assert from "node:assert/strict";
import { cp, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import {
  decodeFeatureShard,
  decodeProjection,
  featureShardKey,
  runKeys,
  type RunConfig,
  type ScoreRow,
  type Shard,
} from "@trommel/common";
import { decodeStandardization } from "@trommel/common/artefacts";
import { parquetReadObjects } from "hyparquet";
import { openTrommel, type ScoreOptions, type Trommel } from "#trommel/index";
import { sha256Hex } from "#common/codec/index";
import { temporaryFolder } from "../../../support/files/temp-folder.js";
import { tinyBackbone } from "../../../support/models/tiny-backbone.js";
import { askPython, withoutModules } from "../../../support/process/python.js";
import { currentRows } from "../../../support/runs/current-rows.js";

/** A store of an earlier version: its run `first` has stored the features of the pictures below `labelled`. */
const kept = fileURLToPath(new URL("../../../../stores/2026-11-28/bucket/", import.meta.url));
const folder = await temporaryFolder("embeddings");
const store = join(folder, "store");
const pictures = join(folder, "pictures/labelled");
const { dimension } = tinyBackbone;

const open = (): Promise<Trommel> => openTrommel({ store, workers: 1 });
const readStore = (...names: string[]): Promise<Buffer> => readFile(join(store, ...names));

async function score(to: string, options: Partial<ScoreOptions>, source: string | null = pictures) {
  await using trommel = await open();
  const output = join(folder, to);
  await (
    await trommel.score(source ?? undefined, {
      model: "first",
      output,
      // Stored features have the shards of their run.
      ...(source === null ? {} : { shardSize: 16 }),
      formats: [],
      ...options,
    })
  ).result();
  return (await currentRows(output, "jsonl")).map((line) => JSON.parse(line) as ScoreRow);
}

/** What a run has stored of each image itself, by its key. */
async function storedFeatures(run: string): Promise<Map<string, Float32Array>> {
  const config = JSON.parse((await readStore(runKeys(run).config)).toString()) as RunConfig;
  const rows = new Map<string, Float32Array>();
  for (const index of [0, 1, 2]) {
    const shard = JSON.parse((await readStore(runKeys(run).shard(index))).toString()) as Shard;
    const key = featureShardKey(config.fingerprint, shard.hash);
    const { features, image, view } = decodeFeatureShard(await readStore(key), key, dimension);
    for (const [row, position] of image.entries())
      if (view[row] === 0)
        rows.set(
          shard.entries[position]?.key ?? "",
          features.subarray(row * dimension, (row + 1) * dimension),
        );
  }
  return rows;
}

function assertVectors(
  rows: readonly ScoreRow[],
  expected: (key: string) => ArrayLike<number>,
  tolerance = 1e-4,
): void {
  assert.equal(rows.length, 36);
  for (const { key, embedding = [] } of rows) {
    const wanted = Array.from(expected(key));
    assert.equal(embedding.length, wanted.length, key);
    const largest = Math.max(...wanted.map(Math.abs));
    for (const [i, value] of wanted.entries())
      assert.ok(Math.abs((embedding[i] ?? NaN) - value) <= tolerance * largest, `${key}[${i}]`);
  }
}

/** The float16 nearest to a number as JSON has it: eleven significant bits, at least 2^-24 apart, in five digits. */
function printedHalf(value: number): number {
  const step = 2 ** (Math.max(Math.floor(Math.log2(Math.abs(value))), -14) - 10);
  return Number((Math.round(value / step) * step).toPrecision(5));
}

const plain = (rows: readonly ScoreRow[]): unknown =>
  rows.map(({ key, label, probability, top }) => ({ key, label, probability, top }));

let raw: Map<string, Float32Array>;

before(async () => {
  await cp(join(kept, "store"), store, { recursive: true });
  await cp(join(kept, "pictures"), join(folder, "pictures"), { recursive: true });
  raw = await storedFeatures("first");
});

describe("embeddings in the scores", () => {
  it("are those that the run has stored, and change no other figure; model.onnx stays as it is", async () => {
    const model = sha256Hex(await readStore(runKeys("first").bundle, "model.onnx"));
    const without = await score("without", {});
    const rows = await score("raw", { embeddings: "raw", formats: ["parquet"] });
    assertVectors(rows, (key) => raw.get(key) ?? []);
    assert.deepEqual(plain(rows), plain(without));
    assert.ok(without.every((row) => row.embedding === undefined));
    assert.equal(sha256Hex(await readStore(runKeys("first").bundle, "model.onnx")), model);
    const file = new Uint8Array(await readFile(join(folder, "raw/part-00000.parquet"))).buffer;
    const table = (await parquetReadObjects({ file })) as { key: string; embedding: number[] }[];
    // A float32 and its nine digits are the same number.
    for (const [at, { key, embedding }] of table.entries()) {
      assert.equal(key, rows[at]?.key);
      assert.deepEqual(embedding, Array.from(Float32Array.from(rows[at]?.embedding ?? [])));
    }
  });

  it("are projected as the bundle says, by float16 numbers where asked for", async () => {
    const bytes = await readStore(runKeys("first").bundle, "projection.safetensors");
    const { mean, basis, scale, components } = decodeProjection(bytes, "the projection");
    const project = (key: string): number[] =>
      Array.from({ length: components }, (_, j) => {
        const x = raw.get(key) ?? new Float32Array();
        return (
          scale * x.reduce((sum, v, i) => sum + (v - (mean[i] ?? 0)) * (basis[i * components + j] ?? 0), 0)
        );
      });
    assertVectors(await score("projected", { embeddings: "projected" }), project);
    const half = await score("half", {
      embeddings: "projected",
      embeddingsType: "f16",
      formats: ["parquet"],
    });
    assertVectors(half, project, 2 ** -10);
    for (const { key, embedding = [] } of half) assert.deepEqual(embedding, embedding.map(printedHalf), key);
  });

  it("come from stored features as well, and are standardised as the bundle says", async () => {
    // As the run has them: no picture is read.
    const options = { featuresOf: "again", model: "again", embeddings: "raw" } as const;
    await using trommel = await open();
    const run = await trommel.train(
      pictures,
      {
        ...{ backbones: [tinyBackbone.name], views: { count: 2, flips: ["horizontal"] }, shardSize: 16 },
        serving: { views: "mirrored" },
      },
      { id: "again" },
    );
    await run.result();
    const features = await storedFeatures("again");
    assertVectors(await score("of-features", options, null), (key) => features.get(key) ?? []);
    // A model that standardises, and averages over the image and its mirror image: the vector is that of the image itself.
    const rows = await score("standardised", { model: "again", embeddings: "projected" });
    const bytes = await readStore(runKeys("again").bundle, "standardization.safetensors");
    const { mean, scale } = decodeStandardization(bytes, "the standardization");
    assertVectors(rows, (key) =>
      Array.from(features.get(key) ?? [], (x, i) => (x - (mean[i] ?? 0)) * (scale[i] ?? 0)),
    );
    const ofFeatures = await score("of-features-2", { ...options, embeddings: "projected" }, null);
    assertVectors(ofFeatures, (key) => rows.find((row) => row.key === key)?.embedding ?? []);
  });

  it("stay with the rows that a later generation keeps", async () => {
    const options = { embeddings: "raw", formats: ["parquet"] } as const;
    const source = join(folder, "shrinking");
    await cp(pictures, source, { recursive: true });
    const before = await score("kept", options, source);
    const gone = "glass/003.png";
    await rm(join(source, gone));
    const after = await score("kept", options, source);
    const byKey = (rows: readonly ScoreRow[]): ScoreRow[] =>
      rows.toSorted((a, b) => (a.key < b.key ? -1 : 1));
    assert.deepEqual(byKey(after), byKey(before.filter(({ key }) => key !== gone)));
    const tables = await currentRows(join(folder, "kept"), "parquet");
    const vectors = tables.map((text) => JSON.parse(text) as { key: string; embedding: number[] });
    const ofRows = new Map(after.map(({ key, embedding = [] }) => [key, Float32Array.from(embedding)]));
    assert.equal(vectors.length, 35);
    for (const { key, embedding } of vectors)
      assert.deepEqual(Float32Array.from(embedding), ofRows.get(key), key);
  });

  it("are refused where they cannot be", async () => {
    for (const [options, code, message] of [
      [{ embeddings: "raw", formats: ["csv"] }, "invalid-argument", /the raw embeddings into CSV/],
      [{ embeddingsType: "f16" }, "invalid-argument", /cannot use --embeddings-type f16/],
    ] as const)
      await assert.rejects(score("refused", options), { code, message });
  });

  const noReader = withoutModules("pyarrow", "duckdb");
  it("are read by Arrow and DuckDB, by a pattern", { skip: noReader }, () => {
    const found = askPython(
      `
import glob, json, sys
import duckdb, pyarrow as pa, pyarrow.parquet as parquet
whole, half = ([parquet.read_table(name) for name in sorted(glob.glob(folder + "/part-*.parquet"))] for folder in sys.argv[1:3])
rows = [json.loads(line) for name in sorted(glob.glob(sys.argv[1] + "/part-*.jsonl")) for line in open(name)]
as_float = pa.array([row["embedding"] for row in rows], pa.list_(pa.float32()))
query = f"select count(*), min(len(embedding)), max(len(embedding)), any_value(typeof(embedding)) from read_parquet('{sys.argv[1]}/part-*.parquet')"
print(json.dumps({
    "types": [str(tables[0].schema.field("embedding").type.value_type) for tables in (whole, half)],
    "same": pa.concat_tables(whole).column("embedding").to_pylist() == as_float.to_pylist(),
    "duckdb": duckdb.sql(query).fetchall()[0],
}))`,
      ...["raw", "half"].map((name) => join(folder, name)),
    );
    assert.deepEqual(found, {
      ...{ types: ["float", "halffloat"], same: true },
      duckdb: [36, dimension, dimension, "FLOAT[]"],
    });
  });
});
