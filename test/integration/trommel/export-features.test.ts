import assert from "node:assert/strict";
import { cp, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import {
  decodeFeatureShard,
  featureShardKey,
  runKeys,
  sha256Hex,
  type RunConfig,
  type Shard,
} from "@trommel/common";
import { parquetMetadataAsync, parquetReadObjects } from "hyparquet";
import type { ExportedFeatures } from "#trommel/index";
import { temporaryFolder } from "../../support/files/temp-folder.js";
import { jsonInProcess, runInProcess } from "../../support/process/cli.js";
import { tinyBackbone } from "../../support/models/tiny-backbone.js";
import { askPython, withoutModules } from "../../support/process/python.js";

/** A run of three shards, three views and five images that could not be read. */
const kept = fileURLToPath(new URL("../../../stores/2026-11-28/bucket/store/", import.meta.url));
const folder = await temporaryFolder("export-features");
const store = join(folder, "store");
const { dimension } = tinyBackbone;

interface Row {
  readonly key: string;
  readonly view: number;
  readonly embedding: readonly number[];
}

const exportTo = async (to: string, ...more: string[]): Promise<ExportedFeatures> =>
  (await jsonInProcess([
    ...["features", "export", "first", "--into", join(folder, to), "--store", store],
    ...more,
  ])) as ExportedFeatures;

/** The rows of the run's feature shards, as their files have them. */
async function storedRows(): Promise<Row[]> {
  const read = (key: string): Promise<Buffer> => readFile(join(store, key));
  const config = JSON.parse((await read(runKeys("first").config)).toString()) as RunConfig;
  const rows: Row[] = [];
  for (const index of [0, 1, 2]) {
    const { hash, entries } = JSON.parse((await read(runKeys("first").shard(index))).toString()) as Shard;
    const key = featureShardKey(config.fingerprint, hash);
    const { features, image, view } = decodeFeatureShard(await read(key), key, dimension);
    for (const [row, position] of image.entries())
      rows.push({
        ...{ key: entries[position]?.key ?? "", view: view[row] ?? NaN },
        embedding: Array.from(features.subarray(row * dimension, (row + 1) * dimension)),
      });
  }
  return rows;
}

let expected: Row[];

before(async () => {
  await cp(kept, store, { recursive: true });
  expected = await storedRows();
  assert.equal(expected.length, 36 * 3);
});

describe("trommel features export", () => {
  it("writes key, view and embedding of every row in the order of the listing", async () => {
    const answer = await exportTo("parquet");
    const bytes = await readFile(join(folder, "parquet/embeddings.parquet"));
    const { files, ...rest } = answer;
    assert.deepEqual(rest, {
      ...{ formatVersion: 1, run: "first", into: `file://${join(folder, "parquet")}`, format: "parquet" },
      ...{ type: "f32", rows: 108, dimension, views: 3 },
    });
    assert.deepEqual(files, [
      { file: "embeddings.parquet", sizeBytes: bytes.length, sha256: sha256Hex(bytes) },
    ]);
    assert.deepEqual(JSON.parse(await readFile(join(folder, "parquet/_SUCCESS.json"), "utf8")), answer);
    const file = new Uint8Array(bytes).buffer;
    assert.deepEqual(await parquetReadObjects({ file }), expected);
    // A row group for each shard, so that neither writer nor reader holds more.
    assert.equal((await parquetMetadataAsync(file)).row_groups.length, 3);
  });

  it("gives the same bytes again, also where it was interrupted", async () => {
    const wanted = await readFile(join(folder, "parquet/embeddings.parquet"));
    await exportTo("again");
    await rm(join(folder, "again/_SUCCESS.json"));
    await writeFile(join(folder, "again/embeddings.parquet"), "half");
    await exportTo("again");
    assert.ok(wanted.equals(await readFile(join(folder, "again/embeddings.parquet"))));
  });

  it("writes an array and its keys", async () => {
    const { files } = await exportTo("npy", "--format", "npy", "--dtype", "f32");
    assert.deepEqual(
      files.map(({ file }) => file),
      ["embeddings.npy", "keys.jsonl"],
    );
    const lines = (await readFile(join(folder, "npy/keys.jsonl"), "utf8")).trimEnd().split("\n");
    assert.deepEqual(
      lines.map((line) => JSON.parse(line) as unknown),
      expected.map(({ key, view }) => ({ key, view })),
    );
    const array = await readFile(join(folder, "npy/embeddings.npy"));
    const values = expected.flatMap(({ embedding }) => embedding);
    assert.equal((array.length - values.length * 4) % 64, 0);
    const data = Uint8Array.from(array.subarray(-values.length * 4));
    assert.deepEqual(Array.from(new Float32Array(data.buffer)), values);
  });

  const noReader = withoutModules("numpy", "pyarrow", "duckdb");
  it("is read by numpy, Arrow and DuckDB", { skip: noReader }, async () => {
    await exportTo("half", "--dtype", "f16");
    await exportTo("half-npy", "--dtype", "f16", "--format", "npy");
    const found = askPython(
      `
import json, sys
import duckdb, numpy as np, pyarrow.parquet as parquet
root = sys.argv[1]
table = parquet.read_table(root + "/parquet/embeddings.parquet")
half = parquet.read_table(root + "/half/embeddings.parquet")
rows = np.array(table.column("embedding").to_pylist(), np.float32)
array = np.load(root + "/npy/embeddings.npy")
half_array = np.load(root + "/half-npy/embeddings.npy")
query = f"select view, count(*), count(distinct key), min(len(embedding)) from read_parquet('{root}/parquet/*.parquet') group by view order by view"
print(json.dumps({
    "arrays": [[str(a.dtype), list(a.shape)] for a in (array, half_array)],
    "same": bool((rows == array).all()),
    "half": bool((rows.astype(np.float16) == half_array).all()),
    "halfParquet": bool((np.array(half.column("embedding").to_pylist(), np.float16) == half_array).all()),
    "types": [str(t.schema.field("embedding").type.value_type) for t in (table, half)],
    "duckdb": duckdb.sql(query).fetchall(),
}))`,
      folder,
    );
    assert.deepEqual(found, {
      arrays: [
        ["float32", [108, dimension]],
        ["float16", [108, dimension]],
      ],
      ...{ same: true, half: true, halfParquet: true, types: ["float", "halffloat"] },
      duckdb: [0, 1, 2].map((view) => [view, 36, 36, dimension]),
    });
  });

  it("is refused for what is there already, for a place in the store, for a scoring, and for features that are gone", async () => {
    await mkdir(join(folder, "taken"));
    await writeFile(join(folder, "taken/notes.txt"), "");
    const refusedFor = async (id: string, message: RegExp, to: string, ...more: string[]) => {
      const args = ["features", "export", id, "--into", join(folder, to), "--store", store, ...more];
      const { code, stderr } = await runInProcess(args);
      assert.notEqual(code, 0);
      assert.match(stderr, message);
    };
    const refused = (message: RegExp, to: string, ...more: string[]) =>
      refusedFor("first", message, to, ...more);
    const [scoring = ""] = await readdir(join(store, "scorings"));
    await refusedFor(scoring, /cannot export the features of score-.*: it is a scoring/, "none");
    await refused(
      /cannot export features into .*taken: it holds "notes\.txt"\. Choose another --into/,
      "taken",
    );
    await refused(/it holds this export already, complete/, "parquet");
    await refused(/it holds another export/, "parquet", "--dtype", "f16");
    await refused(/it is inside the folder runs\/ of the store/, "store/runs/x");
    const [features = ""] = await readdir(join(store, "features"));
    await rm(join(store, "features", features), { recursive: true });
    await refused(/cannot export the features of first: the store has none of its shard 0\. Wait/, "gone");
    await assert.rejects(readdir(join(folder, "gone")), { code: "ENOENT" });
  });
});
