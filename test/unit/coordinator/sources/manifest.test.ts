import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { openStore, shardHash } from "@trommel/common";
import { findRepeated, keyHash, KeyHashes } from "@trommel/common/artefacts";
import { checkManifest } from "#coordinator/sources/manifest/check-manifest";
import { manifestSource } from "#coordinator/sources/manifest/manifest-source";
import { streamShards } from "#coordinator/plan/stream-shards";
import { temporaryFolder } from "../../../support/files/temp-folder.js";

const folder = await temporaryFolder("manifest");
let number = 0;

async function write(text: string, ending = "csv"): Promise<string> {
  number += 1;
  const path = join(folder, `list-${number}.${ending}`);
  await writeFile(path, text);
  return path;
}

const form = { hasPrefix: true, keyColumn: "key", labelColumn: null } as const;

describe("a manifest that cannot be used", () => {
  const refused = async (
    location: string,
    message: RegExp,
    more: object = {},
    needs: readonly string[] = [],
  ) =>
    assert.rejects(checkManifest({ ...form, location, ...more }, { needs }), {
      code: "bad-dataset",
      message,
    });

  it("names the file and the row", async () => {
    await refused(
      await write("id,label\na,b\n"),
      /list-\d+\.csv, line 1: it has no column "key"; it has "id", "label"/,
    );
    await refused(await write('{"id":1}\n{"id":2}\n', "jsonl"), /line 1: it has no column "key"/);
    await refused(
      await write("key,kind\na.jpg,x\nb.jpg,\n"),
      /line 3: its "kind" is empty/,
      { labelColumn: "kind" },
      ["kind"],
    );
    await refused(await write("key\na.jpg\n\nb.jpg\na.jpg\n"), /line 5: the key "a\.jpg" is on line 2 too/);
    await refused(await write("key,x\na.jpg,1\nb.jpg\n"), /line 3: it has 1 column, and the header has 2/);
    await refused(await write('{"key":"a"}\n{"key":\n', "jsonl"), /line 2: it is not JSON/);
    await refused(await write('{"key":7}\n', "jsonl"), /line 1: its "key" is no text/);
    await refused(await write("key\n../a.jpg\n"), /line 2: "\.\.\/a\.jpg" is no legal key/);
    await refused(await write("key\na.jpg\n"), /line 2: "a\.jpg" is no whole location/, { hasPrefix: false });
    await refused(await write("key\nhttp://host/a.jpg\n"), /line 2: .*only https/);
    await refused(await write("key\n"), /it has no row/);
    await refused(await write("no table", "parquet"), /it is no whole Parquet file/);
    await assert.rejects(checkManifest({ ...form, location: join(folder, "nowhere.csv") }), {
      code: "not-found",
    });
  });

  it("is told by its line if it is not UTF-8 or not CSV", async () => {
    const write1 = async (bytes: Buffer): Promise<string> => {
      const path = await write("");
      await writeFile(path, bytes);
      return path;
    };
    const latin = Buffer.from("key,note\na.jpg,x\nb.jpg,K\u00fcche\nc.jpg,y\n", "latin1");
    await refused(await write1(latin), /line 3: it is not UTF-8. Save the table as UTF-8/);
    const cut = Buffer.concat([Buffer.from("key\na.jpg\nb"), Buffer.from([0xc3])]);
    await refused(await write1(cut), /line 3: it is not UTF-8/);
    const far = Buffer.from(`key,note\n${"a,b\n".repeat(3)}`);
    await refused(await write1(Buffer.concat([far, latin.subarray(17)])), /line 5: it is not UTF-8/);
    await refused(
      await write('key,note\na.jpg,"x"\nb.jpg,12" pipe\nc.jpg,y\n'),
      /line 3: it is not CSV \(Invalid Opening Quote.*Put a cell that has quotes into quotes/,
    );
    await refused(
      await write('key,note\na.jpg,x\nb.jpg,"open\nc.jpg,y\n'),
      /it is not CSV \(a quote that opens after 2 whole records is never closed/,
    );
    const { columns } = await checkManifest({
      ...form,
      location: await write1(Buffer.from("\ufeffkey,note\na.jpg,K\u00fcche\n", "utf16le")),
    });
    assert.deepEqual(
      columns.map(({ name }) => name),
      ["note"],
    );
  });

  it("names both files of a key that two of them list", async () => {
    const at = join(folder, "several");
    await mkdir(at);
    await writeFile(join(at, "1.csv"), "key\na.jpg\n");
    await writeFile(join(at, "2.jsonl"), '{"key":"b.jpg"}\n{"key":"a.jpg"}\n');
    await refused(at, /2\.jsonl, line 2: the key "a\.jpg" is on .*1\.csv, line 2 too/);
  });
});

describe("a manifest's columns", () => {
  it("have the types of their values, CSV text", async () => {
    const rows = [
      { key: "a", n: 1, x: 1, flag: true, t: null, any: { a: 1 } },
      { key: "b", n: 2, x: 0.5, flag: false, t: "T", any: 1, late: "z" },
    ];
    const { columns } = await checkManifest({
      ...form,
      location: await write(rows.map((row) => JSON.stringify(row)).join("\n"), "jsonl"),
    });
    assert.deepEqual(Object.fromEntries(columns.map(({ name, type }) => [name, type])), {
      ...{ n: "integer", x: "number", flag: "boolean", t: "text", any: "json", late: "text" },
    });
    const csv = await checkManifest({ ...form, location: await write("\ufeffn;key\r\n1;a\r\n") });
    assert.deepEqual(csv, { columns: [{ name: "n", type: "text" }], unknown: new Map() });
  });

  it("are kept beside each shard, and a listing that continues after another manifest is refused", async () => {
    const photos = join(folder, "photos");
    await mkdir(photos);
    const keys = ["c.jpg", "a.jpg", "d.jpg", "b.jpg", "e.jpg"];
    for (const key of keys) await writeFile(join(photos, key), key);
    const location = await write(["key,n", ...keys.map((key, i) => `${key},${i}`)].join("\n"));
    const store = openStore(join(folder, "store"));
    const list = async (stopAfter = Infinity) => {
      const source = manifestSource(
        { type: "manifest", ...form, location, columns: [{ name: "n", type: "text" }] },
        openStore(photos),
      );
      const listed: string[][] = [];
      for await (const shard of streamShards({
        ...{ source, store, shardSize: 2, signal: new AbortController().signal, skip: () => undefined },
        shardKey: (index) => `shards/${index}.json`,
        columnsKey: (index) => `columns/${index}.json`,
      })) {
        assert.equal(shard.anyOrder, true);
        listed.push(shard.entries.map(({ key }) => key));
        if (listed.length === stopAfter) break;
      }
      return listed;
    };
    assert.deepEqual(await list(1), [["c.jpg", "a.jpg"]]);
    assert.deepEqual(await list(), [["c.jpg", "a.jpg"], ["d.jpg", "b.jpg"], ["e.jpg"]]);
    const body = Buffer.from(await store.get("columns/1.json")).toString("utf8");
    assert.deepEqual((JSON.parse(body) as { columns: unknown }).columns, [
      { name: "n", type: "text", values: ["2", "3"] },
    ]);
    await writeFile(
      location,
      ["key,n", ...[...keys].reverse().map((key, i) => `${key},${i}`), "f.jpg,9"].join("\n"),
    );
    await assert.rejects(list(), { code: "conflict", message: /its image 5 was "e\.jpg"/ });
  });
});

describe("keys of a source in its own order", () => {
  it("are told apart by hashes, and keys with equal ones by themselves", async () => {
    const hashes = new KeyHashes();
    for (let i = 0; i < 20_000; i += 1) assert.equal(hashes.add(`folder/${i}.jpg`), undefined);
    for (let i = 0; i < 20_000; i += 1)
      assert.equal(hashes.add(`folder/${i}.jpg`), keyHash(`folder/${i}.jpg`));
    const shardOf = (index: number, keys: readonly string[]) => ({
      ...{ formatVersion: 1 as const, index, hash: "", skipped: [], anyOrder: true as const },
      entries: keys.map((key) => ({ key, sizeBytes: 1, etag: "" })),
    });
    async function* shards() {
      yield await Promise.resolve(shardOf(0, ["a", "b"]));
      yield shardOf(1, ["c", "a"]);
    }
    assert.equal(await findRepeated(new Set([keyHash("b")]), shards()), undefined);
    const found = await findRepeated(new Set([keyHash("a")]), shards());
    assert.deepEqual([found?.key, found?.shard.index], ["a", 1]);
  });

  it("change no hash of a prefix's shard; a place within an archive joins it", () => {
    const entries = [
      { key: "a/1.jpg", sizeBytes: 3, etag: "e1" },
      { key: "b/ä.jpg", sizeBytes: 0, etag: "" },
    ];
    // sha256 of [["a/1.jpg",3,"e1"],["b/ä.jpg",0,""]], by Python's hashlib.
    assert.equal(shardHash(entries), "44d4f51f328c9af4ee0e37432854843828779fcad5c094ff7c26ad48292df32e");
    const placed = entries.map((entry) => ({
      ...entry,
      at: { object: "x.tar", range: [512, 3] as [number, number] },
    }));
    assert.notEqual(shardHash(placed), shardHash(entries));
  });
});
