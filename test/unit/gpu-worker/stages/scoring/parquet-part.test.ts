import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { parquetReadObjects, parquetMetadataAsync } from "hyparquet";
import type { Carried } from "#gpu-worker/stages/scoring/carried-columns";
import { parquetPart } from "#gpu-worker/stages/scoring/formats/parquet-part";
import { scoreRowOf } from "#gpu-worker/stages/scoring/formats/score-rows";
import { temporaryFolder } from "../../../../support/files/temp-folder.js";
import { askPython, withoutModules } from "../../../../support/process/python.js";

const labels = ["glass", "金属", 'pa"per'];
const options = { labels, modelSha256: "0".repeat(64), novelty: true };
const accepts = { novelty: 0.95, probability: null };
/** Every value is a float32, so that a reader must give it exactly. */
const images = [
  { key: "a/1.jpg", probabilities: [0.5, 0.25, 0.25], novelty: 0.5 },
  { key: "目录/二.jpg", probabilities: [0.125, 0.0625, 0.8125], novelty: 0.75 },
  { key: "z,\n.jpg", probabilities: [0.375, 0.5, 0.125], novelty: 1 },
];

function part(of = images, carried?: Carried): Promise<Uint8Array> {
  const rows = of.map(({ key, probabilities, novelty }) =>
    scoreRowOf(key, { probabilities: Float32Array.from(probabilities), novelty }, labels, {
      topK: 2,
      accepts,
    }),
  );
  const probabilities = Float32Array.from(of.flatMap((image) => image.probabilities));
  return parquetPart({ rows, probabilities, carried }, options);
}

/** What any reader must give, written by hand. */
const expected = [
  {
    ...{ key: "a/1.jpg", label: "glass", probability: 0.5 },
    top: [
      { label: "glass", probability: 0.5 },
      { label: "金属", probability: 0.25 },
    ],
    ...{ probabilities: [0.5, 0.25, 0.25], novelty: 0.5 },
  },
  {
    ...{ key: "目录/二.jpg", label: 'pa"per', probability: 0.8125 },
    top: [
      { label: 'pa"per', probability: 0.8125 },
      { label: "glass", probability: 0.125 },
    ],
    ...{ probabilities: [0.125, 0.0625, 0.8125], novelty: 0.75 },
  },
  {
    ...{ key: "z,\n.jpg", label: "unknown", probability: 0.5 },
    top: [
      { label: "金属", probability: 0.5 },
      { label: "glass", probability: 0.375 },
    ],
    ...{ probabilities: [0.375, 0.5, 0.125], novelty: 1 },
  },
];

const readArrow = `
import json, sys
import pyarrow.parquet as parquet
files = [parquet.ParquetFile(name) for name in sys.argv[1:]]
column = files[0].metadata.row_group(0).column
chunks = [column(i) for i in range(files[0].metadata.num_columns)]
print(json.dumps({
    "rows": [row for file in files for row in file.read().to_pylist()],
    "labels": json.loads(files[0].metadata.metadata[b"labels"]),
    "schemas": [str(file.schema_arrow) for file in files],
    "dictionaries": [c.path_in_schema for c in chunks if c.has_dictionary_page],
    "bounds": {c.path_in_schema: [c.statistics.min, c.statistics.max] for c in chunks if c.is_stats_set},
}))
`;

const readDuckDb = `
import json, sys
import duckdb
query = f"select * from read_parquet('{sys.argv[1]}/*.parquet') where probability >= 0.5 order by key"
table = duckdb.sql(query)
print(json.dumps([dict(zip(table.columns, row)) for row in table.fetchall()]))
`;

describe("a part in Parquet", () => {
  it("has the same bytes for the same rows", async () => {
    assert.deepEqual(await part(), await part());
  });

  it("is read by hyparquet as it was written, with the labels beside it", async () => {
    const bytes = await part();
    const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
    assert.deepEqual(await parquetReadObjects({ file }), expected);
    const { key_value_metadata: metadata } = await parquetMetadataAsync(file);
    assert.deepEqual(JSON.parse(metadata?.find(({ key }) => key === "labels")?.value ?? ""), labels);
  });

  it("has the carried columns' types, in a part without a single value too, and refuses a value of another type", async () => {
    const columns: Carried["columns"] = [
      { name: "number", type: "number" },
      { name: "whole", type: "integer" },
      { name: "any", type: "json" },
      { name: "at", type: "timestamp", instant: { unit: "us", utc: false } },
    ];
    const read = async (values: Carried["values"]) => {
      const file = new Uint8Array(await part(images.slice(0, 1), { columns, values })).buffer;
      const [row] = await parquetReadObjects({ file });
      const { number, whole, any, at } = row ?? {};
      return { schema: (await parquetMetadataAsync(file)).schema, row: [number, whole, any, at] };
    };
    const full = await read([[1, "9007199254740993", { a: [1] }, "2026-01-02T03:04:05.678901"]]);
    // 2026-01-02T03:04:05.678Z; hyparquet reads milliseconds.
    assert.deepEqual(full.row, [1, 9_007_199_254_740_993n, '{"a":[1]}', new Date(1_767_323_045_678)]);
    const empty = await read([[null, null, null, null]]);
    assert.deepEqual(empty.row, [null, null, null, null]);
    assert.deepEqual(empty.schema, full.schema);
    await assert.rejects(read([[null, 0.5, null, null]]), {
      code: "bad-dataset",
      message:
        /the column "whole" as Parquet: it holds 0\.5, and when the scoring began it was of the type integer/,
    });
  });

  it("has vectors in row groups of a bounded size, which a reader joins", async () => {
    const dimension = 2 ** 18;
    const rows = images.map(({ key }, image) => ({
      ...{ key, label: "glass", probability: 1, top: [] },
      embedding: Array.from({ length: dimension }, (_, i) => (i % 64) / 64 + image),
    }));
    const probabilities = new Float32Array(images.length * labels.length);
    const bytes = await parquetPart(
      { rows, probabilities },
      { ...options, novelty: false, embeddings: { vector: "raw", type: "f16", dimension } },
    );
    const file = new Uint8Array(bytes).buffer;
    const { row_groups: groups } = await parquetMetadataAsync(file);
    assert.deepEqual(
      groups.map((group) => group.num_rows),
      [2n, 1n],
    );
    const found = (await parquetReadObjects({ file, columns: ["key", "embedding"] })) as typeof rows;
    for (const [image, { key, embedding }] of rows.entries()) {
      assert.equal(found[image]?.key, key);
      assert.ok(found[image].embedding.every((value, i) => value === embedding[i]));
    }
  });

  const noArrow = withoutModules("pyarrow");
  it("is read by Arrow, one of no rows with the same schema", { skip: noArrow }, async () => {
    const folder = await temporaryFolder("parquet-arrow");
    const names = [join(folder, "part-0.parquet"), join(folder, "part-1.parquet")];
    await writeFile(names[0]!, await part());
    await writeFile(names[1]!, await part([]));
    const read = askPython(readArrow, ...names) as Record<string, unknown> & {
      readonly schemas: readonly string[];
      readonly bounds: Readonly<Record<string, readonly unknown[]>>;
    };
    assert.deepEqual(read["rows"], expected);
    assert.deepEqual(read["labels"], labels);
    assert.equal(read.schemas[1], read.schemas[0]);
    assert.deepEqual(read["dictionaries"], ["label"]);
    assert.deepEqual(read.bounds["key"], ["a/1.jpg", "目录/二.jpg"]);
    assert.deepEqual(read.bounds["label"], ["glass", "unknown"]);
    assert.deepEqual(read.bounds["probability"], [0.5, 0.8125]);
  });

  const noDuckDb = withoutModules("duckdb");
  it("is read by DuckDB, several by one pattern", { skip: noDuckDb }, async () => {
    const folder = await temporaryFolder("parquet-duckdb");
    await writeFile(join(folder, "part-0.parquet"), await part(images.slice(2)));
    await writeFile(join(folder, "part-1.parquet"), await part(images.slice(0, 2)));
    await writeFile(join(folder, "part-2.parquet"), await part([]));
    assert.deepEqual(
      askPython(readDuckDb, folder),
      [0, 2, 1].map((at) => expected[at]),
    );
  });
});
