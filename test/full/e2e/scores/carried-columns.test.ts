import assert from "node:assert/strict";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { parquetReadObjects, parquetMetadataAsync } from "hyparquet";
import { openTrommel, type Trommel } from "#trommel/index";
import { drawDataset, writeFiles, type Pictures } from "../../../support/images/dataset.js";
import { parseCsv } from "../../../support/files/csv.js";
import { temporaryFolder } from "../../../support/files/temp-folder.js";
import { storeWithTinyBackbone, tinyBackbone } from "../../../support/models/tiny-backbone.js";
import { askPython, withoutModules } from "../../../support/process/python.js";
import { currentRows } from "../../../support/runs/current-rows.js";

type Row = Readonly<Record<string, unknown>>;

const golden = fileURLToPath(new URL("../../../../golden/manifests/", import.meta.url));
const folder = await temporaryFolder("carried-columns");
const photos = join(folder, "photos");
const output = join(folder, "scores");
/** A picture that is missing at first, with a value in most columns. */
const missing = "metal/003.png";
let pictures: Pictures;
let store = "";
/** The manifest's rows as JSON has them, written by Python. */
let expected: readonly (Row & { readonly key: string })[];

const open = (): Promise<Trommel> => openTrommel({ store, workers: 1 });
const score = async (trommel: Trommel, location: string, to = output) => {
  const options = { model: "model", output: to, shardSize: 5, formats: ["csv", "parquet"] } as const;
  const scoring = await trommel.score(photos, { ...options, manifest: { location } });
  return { scoring, result: await scoring.result() };
};
const carriedOf = (row: Row): Row =>
  Object.fromEntries(Object.keys(expected[0] ?? {}).map((name) => [name, row[name]]));
const byKey = <T extends Row>(rows: readonly T[]): T[] =>
  rows.toSorted((a, b) => (String(a["key"]) < String(b["key"]) ? -1 : 1));

before(async () => {
  expected = JSON.parse(await readFile(join(golden, "typed.json"), "utf8")) as typeof expected;
  pictures = await drawDataset(["glass", "metal", "paper"], { to: 4 });
  await writeFiles(photos, pictures);
  store = await storeWithTinyBackbone(folder);
  await using trommel = await open();
  const run = await trommel.train(
    photos,
    {
      ...{ backbones: [tinyBackbone.name], views: { count: 1 }, head: { type: "se" } },
      ...{ svd: { step: 8 }, training: { epochs: 3 } },
    },
    { id: "model" },
  );
  await run.result();
  await rm(join(photos, missing));
});

/** Compares the scores of every part with the manifest, as Arrow and DuckDB read both. */
const compare = `
import glob, json, sys
import duckdb
import pyarrow.parquet as parquet
import pyarrow as pa
manifest = parquet.read_table(sys.argv[1])
parts = [parquet.read_table(name) for name in sorted(glob.glob(sys.argv[2]))]
whole = pa.concat_tables(parts)
def cells(table, name):
    column = table.column(name)
    if name == "nanos": column = column.cast(pa.int64())
    return dict(zip(table.column("key").to_pylist(), column.to_pylist()))
differing = {}
for name in manifest.column_names:
    found, wanted = cells(whole, name), cells(manifest, name)
    if name == "tags": found = {key: text and json.loads(text) for key, text in found.items()}
    if found != wanted: differing[name] = [str(found), str(wanted)]
query = f"select count(*), count(distinct key), sum(long), max(clock), min(nanos) from read_parquet('{sys.argv[2]}')"
asked = f"select count(*), count(distinct key), sum(long), max(clock), min(nanos) from read_parquet('{sys.argv[1]}')"
print(json.dumps({
    "differing": differing,
    "types": {name: str(whole.schema.field(name).type) for name in manifest.column_names},
    "schemas": len({str(part.schema) for part in parts}),
    "same": duckdb.sql(query).fetchall() == duckdb.sql(asked).fetchall(),
}))
`;

describe("a manifest's columns", () => {
  it("are carried in every format, and into the rows of images that are tried again", async () => {
    await using trommel = await open();
    const { scoring, result } = await score(trommel, join(golden, "typed.parquet"));
    assert.deepEqual(result.ledger.failedByReason, { "not-found": 1 });
    await writeFile(join(photos, missing), pictures.get(missing) ?? "");
    const { retry } = await scoring.retry();
    assert.equal((await retry?.result())?.ledger.failed, 0);

    const lines = (await currentRows(output, "jsonl")).map((line) => JSON.parse(line) as Row);
    assert.deepEqual(byKey(lines.map(carriedOf)), byKey(expected));

    const csv = (await currentRows(output, "csv")).map((line) => JSON.parse(line) as string[]);
    const [header = []] = parseCsv(await readFile(join(output, "part-00000.csv"), "utf8"));
    const cell = (value: unknown): string =>
      value === null ? "" : typeof value === "string" ? value : JSON.stringify(value);
    assert.deepEqual(
      byKey(csv.map((record) => carriedOf(Object.fromEntries(header.map((name, i) => [name, record[i]]))))),
      byKey(expected.map((row) => Object.fromEntries(Object.entries(row).map(([k, v]) => [k, cell(v)])))),
    );
  });

  it("have the manifest's types in Parquet, and one schema in every part", async () => {
    const schemas = new Set<string>();
    const rows: Row[] = [];
    for (const part of ["00000", "00001", "00002", "00003"]) {
      const file = new Uint8Array(await readFile(join(output, `part-${part}.parquet`))).buffer;
      rows.push(...(await parquetReadObjects({ file })));
      schemas.add(JSON.stringify((await parquetMetadataAsync(file)).schema));
    }
    assert.equal(schemas.size, 1);
    assert.equal(rows.length, expected.length);
    const [first] = rows;
    assert.deepEqual(
      [first?.["long"], first?.["exact"], first?.["flag"], first?.["note"], first?.["never"]],
      [0n, 0, true, '第 0, "a"', null],
    );
  });

  const noReader = withoutModules("pyarrow", "duckdb");
  it("are read by Arrow and DuckDB as they read the manifest", { skip: noReader }, () => {
    const found = askPython(compare, join(golden, "typed.parquet"), join(output, "part-*.parquet"));
    assert.deepEqual(found, {
      differing: {},
      types: {
        ...{ key: "string", long: "int64", short: "int64", exact: "double", single: "double", flag: "bool" },
        ...{ note: "string", clock: "timestamp[us]", instant: "timestamp[us, tz=UTC]" },
        ...{ nanos: "timestamp[ns, tz=UTC]", day: "date32[day]", tags: "string", never: "int64" },
      },
      ...{ schemas: 1, same: true },
    });
  });

  it("change nothing in what is known of an image that was tried again", async () => {
    await using trommel = await open();
    const { scoring } = await score(trommel, join(golden, "typed.parquet"));
    assert.equal(scoring.met, "unchanged");
  });

  it("are those of the first listing: a column that the manifest gains later is no change", async () => {
    const [manifest, to] = [join(folder, "growing.csv"), join(folder, "growing-scores")];
    const write = (columns: string, of: (key: string, index: number) => string): Promise<void> =>
      writeFile(manifest, [columns, ...[...pictures.keys()].map(of), ""].join("\n"));
    await write("key,place", (key, index) => `${key},${index % 3}`);
    await using trommel = await open();
    const { scoring } = await score(trommel, manifest, to);
    assert.equal(scoring.met, "new");
    await write("key,place,weather", (key, index) => `${key},${index % 3},sunny`);
    const again = await score(trommel, manifest, to);
    assert.equal(again.scoring.met, "unchanged");
    assert.equal(again.result.generation, undefined);
    // A value in a column that is carried is one.
    await write("key,place,weather", (key, index) => `${key},${index === 0 ? 7 : index % 3},sunny`);
    const { scoring: third, result } = await score(trommel, manifest, to);
    assert.equal(third.met, "changed");
    assert.deepEqual(result.generation, { number: 1, added: 0, changed: 1, removed: 0 });
  });

  it("are refused by name where no score could have their type", async () => {
    await using trommel = await open();
    await assert.rejects(score(trommel, join(golden, "decimal.parquet"), join(folder, "none")), {
      code: "bad-dataset",
      message: /cannot carry the column "price" of .*decimal\.parquet into the scores: it holds decimal;/,
    });
  });
});
