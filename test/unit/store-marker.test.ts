import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { type ObjectStore, TrommelError } from "@trommel/common";
import { canonicalJson, sha256Hex } from "@trommel/common/codec/canonical-json";
import { markerSchema, readMarker, readWithMarker, writeWithMarker } from "@trommel/common/codec/marker";
import { openStore } from "@trommel/common/store/open-store";

const text = (value: string) => new TextEncoder().encode(value);
const isError = (code: string, part: string, retryable: boolean) => (thrown: unknown) => {
  assert.ok(thrown instanceof TrommelError, String(thrown));
  assert.deepEqual([thrown.code, thrown.retryable], [code, retryable], thrown.message);
  assert.ok(thrown.message.includes(part), `${thrown.message} names ${part}`);
  return true;
};
/** sha256 of "abc" (FIPS 180-2, appendix B.1). */
const sha256OfAbc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

describe("a marker", () => {
  let folder: string;
  let store: ObjectStore;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "trommel-marker-"));
    store = openStore(folder);
  });
  afterEach(() => rm(folder, { recursive: true }));

  it("is written after the artefact, with hash, size and counts, and read with its kind's schema", async () => {
    const written = await writeWithMarker(store, "features/x.bin", text("abc"), { rows: 3 });
    assert.deepEqual(written, {
      formatVersion: 1,
      key: "features/x.bin",
      sha256: sha256OfAbc,
      sizeBytes: 3,
      rows: 3,
    });
    const schema = markerSchema.extend({ rows: markerSchema.shape.sizeBytes });
    const { bytes, marker } = await readWithMarker(store, "features/x.bin", schema);
    assert.deepEqual(bytes, text("abc"));
    assert.equal(marker.rows, 3);
    const raw = new TextDecoder().decode(await store.get("features/x.bin.json"));
    assert.equal(
      raw,
      `{"formatVersion":1,"key":"features/x.bin","rows":3,"sha256":"${sha256OfAbc}","sizeBytes":3}\n`,
    );
  });

  it("makes a repeat a no-op and other bytes a conflict", async () => {
    await writeWithMarker(store, "k", text("abc"), { rows: 3 });
    const before = [await store.head("k"), await store.head("k.json")];
    assert.equal((await writeWithMarker(store, "k", text("abc"), { rows: 3 }))["rows"], 3);
    await assert.rejects(writeWithMarker(store, "k", text("abd")), isError("conflict", sha256OfAbc, false));
    assert.deepEqual([await store.head("k"), await store.head("k.json")], before);
    assert.deepEqual(await store.get("k"), text("abc"));
  });

  it("is needed: an artefact without one is missing input, and is written again", async () => {
    await store.put("k", text("half"));
    await assert.rejects(readWithMarker(store, "k"), isError("missing-input", "k.json", false));
    await writeWithMarker(store, "k", text("abc"));
    assert.deepEqual((await readWithMarker(store, "k")).bytes, text("abc"));
  });

  it("is the same whoever of ten writers comes first", async () => {
    const markers = await Promise.all(
      Array.from({ length: 10 }, () => writeWithMarker(store, "k", text("abc"))),
    );
    for (const marker of markers) assert.equal(marker.sha256, sha256OfAbc);
    assert.deepEqual((await readWithMarker(store, "k")).bytes, text("abc"));
  });

  it("proves the bytes: changed or lost ones are corrupt, and may be right later", async () => {
    await writeWithMarker(store, "k", text("abc"));
    await store.put("k", text("abd"));
    await assert.rejects(readWithMarker(store, "k"), isError("corrupt", sha256OfAbc, true));
    await store.delete(["k"]);
    await assert.rejects(readWithMarker(store, "k"), isError("corrupt", "not there", true));
  });

  it("is refused when it is not one", async () => {
    const whole = { formatVersion: 1, key: "k", sha256: sha256OfAbc, sizeBytes: 3 };
    const bad = [
      "",
      "{",
      "[]",
      ...[{ formatVersion: 2 }, { key: "other" }, { sha256: "x" }, { sizeBytes: -1 }].map((change) =>
        JSON.stringify({ ...whole, ...change }),
      ),
    ];
    for (const content of bad) {
      await store.put("k.json", text(content));
      await assert.rejects(readMarker(store, "k"), isError("corrupt", "k.json", false), content);
    }
    await store.put("k.json", text(JSON.stringify(whole)));
    const schema = markerSchema.extend({ rows: markerSchema.shape.sizeBytes });
    await assert.rejects(readMarker(store, "k", schema), isError("corrupt", "rows", false));
    assert.deepEqual(await readMarker(store, "k"), whole);
  });
});

describe("canonical JSON", () => {
  it("has one spelling per value", () => {
    const spelled = '{"":null,"10":1,"9":[true,{"a":"é\\n","b":-0.5}],"B":1e+21,"a":0}';
    const value = { a: -0, B: 1e21, 9: [true, { b: -0.5, a: "é\n" }], 10: 1, "": null };
    assert.equal(canonicalJson(value), spelled);
    assert.equal(canonicalJson(JSON.parse(spelled)), spelled);
  });

  it("refuses what JSON would drop or bend, naming where", () => {
    for (const bad of [undefined, NaN, Infinity, 1n, () => 1, new Date(0), new Map(), "\ud800"]) {
      assert.throws(() => canonicalJson({ list: [1, bad] }), /\$\.list\[1\]/, typeof bad);
    }
    // An empty place of an array reads as undefined.
    assert.throws(() => canonicalJson(new Array(1)), /\$\[0\]/);
  });

  it("hashes bytes, and texts as UTF-8", () => {
    assert.equal(sha256Hex("abc"), sha256OfAbc);
    assert.equal(sha256Hex(text("abc")), sha256OfAbc);
    assert.equal(sha256Hex("é"), sha256Hex(Uint8Array.of(0xc3, 0xa9)));
  });
});
