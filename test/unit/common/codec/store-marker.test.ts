import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { type ObjectStore, TrommelError } from "@trommel/common";
import { canonicalJson, sha256Hex } from "#common/codec/canonical-json";
import { markerSchema, readMarker, readWithMarker, writeWithMarker } from "#common/codec/marker";
import { findCommitted, readInput } from "#common/codec/stage-input";
import { openStore } from "#common/store/open-store";

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

/** A store whose `put` and `delete` first do what the test says, as another writer would between two of our steps. */
function interrupted(
  store: ObjectStore,
  before: (what: string, key: string) => Promise<unknown>,
): ObjectStore {
  return {
    url: store.url,
    get: (key, options) => store.get(key, options),
    head: (key) => store.head(key),
    list: (prefix, options) => store.list(prefix, options),
    put: async (key, body, options) => {
      await before("put", key);
      return store.put(key, body, options);
    },
    putStream: (key, chunks, options) => store.putStream(key, chunks, options),
    copyFrom: (from, key, as, options) => store.copyFrom(from, key, as, options),
    sweep: (remove) => store.sweep(remove),
    delete: async (keys) => {
      await before("delete", keys.join());
      await store.delete(keys);
    },
    close: () => undefined,
  };
}

/** As a server does that takes no notice of "if absent": what stands is overwritten. */
function unconditional(store: ObjectStore): ObjectStore {
  return {
    ...interrupted(store, () => Promise.resolve()),
    put: async (key, body, options = {}) => {
      if (options.ifAbsent === true && (await store.head(key)) !== undefined) return "exists";
      // Others look, too, before anybody writes.
      await new Promise((resolve) => setImmediate(resolve));
      return store.put(key, body, { ...options, ifAbsent: false });
    },
  };
}

describe("two writers of different bytes", () => {
  let folder: string;
  let store: ObjectStore;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "trommel-marker-"));
    store = openStore(folder);
  });
  afterEach(() => rm(folder, { recursive: true }));

  /** Data and marker fit, whoever won; gives the bytes that stand. */
  async function existing(): Promise<string> {
    return new TextDecoder().decode((await readWithMarker(store, "k")).bytes);
  }

  it("leave an artefact that is whole, at whichever step the other one comes in between", async () => {
    for (const step of [1, 2, 3, 4]) {
      await store.delete(["k", "k.json"]);
      let steps = 0;
      const slow = interrupted(store, async () => {
        steps += 1;
        if (steps === step) await writeWithMarker(store, "k", text("other")).catch(() => undefined);
      });
      await writeWithMarker(slow, "k", text("mine ")).catch((thrown: unknown) => {
        isError("conflict", "k", false)(thrown);
      });
      assert.equal(await existing(), step <= 2 ? "other" : "mine ");
    }
  });

  it("that overwrite each other's data leave an artefact that is whole", async () => {
    for (const when of ["k", "k.json"]) {
      await store.delete(["k", "k.json"]);
      let done = false;
      const slow = interrupted(store, async (_what, key) => {
        if (done || key !== when) return;
        done = true;
        await store.put("k", text("stray"));
      });
      await writeWithMarker(slow, "k", text("mine "));
      assert.equal(await existing(), "mine ");
    }
    // After the marker of the first, before its data are looked at.
    await store.delete(["k", "k.json"]);
    const overwritten: ObjectStore = {
      ...interrupted(store, () => Promise.resolve()),
      put: async (key, body, options) => {
        const result = await store.put(key, body, options);
        if (key === "k.json") await store.put("k", text("stray"));
        return result;
      },
    };
    await writeWithMarker(overwritten, "k", text("mine "));
    assert.equal(await existing(), "mine ");
  });

  it("at the same moment leave an artefact that is whole, also on a server without conditional writes", async () => {
    for (const open of [(whole: ObjectStore) => whole, unconditional]) {
      for (let time = 0; time < 5; time += 1) {
        await store.delete(["k", "k.json"]);
        const bodies = ["one", "two", "six"];
        const results = await Promise.allSettled(
          bodies.map((body) => writeWithMarker(open(store), "k", text(body))),
        );
        const won = await existing();
        assert.ok(bodies.includes(won));
        // Without conditional writes each may find another one's standing, and that one be replaced after it looked.
        if (open !== unconditional) assert.ok(results.some(({ status }) => status === "fulfilled"));
        for (const result of results)
          if (result.status === "rejected") assert.equal((result.reason as TrommelError).code, "conflict");
      }
    }
  });

  it("make damaged markers and lost data good again by writing", async () => {
    await writeWithMarker(store, "k", text("abc"));
    await store.put("k.json", text("{"));
    await writeWithMarker(store, "k", text("abc"));
    assert.equal(await existing(), "abc");
    await store.delete(["k"]);
    await writeWithMarker(store, "k", text("abc"));
    assert.equal(await existing(), "abc");
    await store.put("k", text("abd"));
    await writeWithMarker(store, "k", text("six"));
    assert.equal(await existing(), "six");
  });
});

describe("an artefact between stages", () => {
  let folder: string;
  let store: ObjectStore;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "trommel-marker-"));
    store = openStore(folder);
    await writeWithMarker(store, "k", text("abc"));
  });
  afterEach(() => rm(folder, { recursive: true }));

  const damages: Record<string, () => Promise<unknown>> = {
    "lost data": () => store.delete(["k"]),
    "shorter data": () => store.put("k", text("ab")),
    "other data": () => store.put("k", text("abd")),
    "a marker cut short": () => store.put("k.json", text('{"formatVersion":1,')),
    "an empty marker": () => store.put("k.json", new Uint8Array(0)),
  };
  for (const [name, damage] of Object.entries(damages)) {
    it(`with ${name} is removed by who reads it, to be made again`, async () => {
      await damage();
      await assert.rejects(readInput(store, "k"), isError("missing-input", "resume the run", false));
      assert.deepEqual([await store.head("k"), await store.head("k.json")], [undefined, undefined]);
      await assert.rejects(readInput(store, "k"), isError("missing-input", "no marker", false));
    });

    it(`with ${name} does not count as made, unless only its hash can tell`, async () => {
      assert.equal((await findCommitted(store, "k"))?.sha256, sha256OfAbc);
      await damage();
      assert.equal(
        (await findCommitted(store, "k"))?.sha256,
        name === "other data" ? sha256OfAbc : undefined,
      );
    });
  }

  it("that only came damaged is read again and left alone", async () => {
    let reads = 0;
    const noisy: ObjectStore = {
      ...interrupted(store, () => Promise.resolve()),
      get: async (key, options) => {
        reads += 1;
        return reads <= 2 ? text("noise") : store.get(key, options);
      },
    };
    assert.deepEqual((await readInput(noisy, "k")).bytes, text("abc"));
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
