import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { type ObjectInfo, type ObjectStore, TrommelError } from "@trommel/common";
import { openStore } from "#common/store/open-store";
import { asStream } from "../support/files/as-stream.js";
import type { Implementation } from "./implementations.js";

const text = (value: string) => new TextEncoder().encode(value);

async function keysOf(listing: AsyncIterable<ObjectInfo>): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of listing) keys.push(key);
  return keys;
}

/** The order that S3 documents: by the bytes of the UTF-8 encoding. */
const inByteOrder = (keys: readonly string[]) =>
  [...keys].sort((left, right) => Buffer.compare(Buffer.from(left), Buffer.from(right)));

const isError =
  (code: string, ...parts: readonly string[]) =>
  (thrown: unknown) => {
    assert.ok(thrown instanceof TrommelError, String(thrown));
    assert.equal(thrown.code, code, thrown.message);
    for (const part of parts) assert.ok(thrown.message.includes(part), `${thrown.message} names ${part}`);
    return true;
  };

/** Declares what every object store must do as tests of one implementation. */
export function testObjectStore(implementation: Implementation): void {
  describe(`an object store on ${implementation.name}`, { skip: implementation.skip ?? false }, () => {
    before(() => implementation.setUp());
    after(() => implementation.tearDown());

    const withStore = (name: string, body: (store: ObjectStore) => Promise<void>): void => {
      it(name, async () => {
        const store = openStore(await implementation.makeEmpty());
        try {
          await body(store);
        } finally {
          store.close();
        }
      });
    };

    withStore("gives back what was put, down to nothing and up to 5 MB", async (store) => {
      const large = Uint8Array.from({ length: 5_000_003 }, (_, i) => (i * 2654435761) >>> 24);
      await store.put("empty", new Uint8Array(0));
      await store.put("deep/er/large.bin", large, { contentType: "application/x-test" });
      assert.equal((await store.get("empty")).byteLength, 0);
      assert.deepEqual(Buffer.from(await store.get("deep/er/large.bin")), Buffer.from(large));
      assert.deepEqual(await keysOf(store.list("")), ["deep/er/large.bin", "empty"]);
    });

    withStore(
      "copies an object of another place without overwriting, if it is the one that was listed",
      async (store) => {
        const from = openStore(await implementation.makeEmpty());
        try {
          for (const key of ["a b+c%20=&.jpg", "深い/é?#'(1).jpg", "plain"]) {
            await from.put(key, text(`content of ${key}`));
            const { etag = "" } = (await from.head(key)) ?? {};
            assert.equal(await store.copyFrom(from, key, `to/${key}`, { etag }), "written");
            assert.deepEqual(await store.get(`to/${key}`), text(`content of ${key}`));
          }
          await store.put("taken", text("first"));
          assert.equal(await store.copyFrom(from, "plain", "taken"), "exists");
          assert.deepEqual(await store.get("taken"), text("first"));
          const { etag = "" } = (await from.head("plain")) ?? {};
          await from.put("plain", text("something else"));
          await assert.rejects(store.copyFrom(from, "plain", "late", { etag }), isError("changed", "plain"));
          await assert.rejects(store.copyFrom(from, "missing", "late"), isError("not-found", "missing"));
          assert.equal(await store.head("late"), undefined);
        } finally {
          from.close();
        }
      },
    );

    withStore("puts a stream of unknown length, down to nothing and above one part", async (store) => {
      const pattern = Buffer.from(Array.from({ length: 1_000_003 }, (_, i) => (i * 31 + (i >> 8)) % 251));
      for (const count of [0, 1, 17, 34]) {
        const chunks = Array<Buffer>(count).fill(pattern);
        await store.putStream("streamed", asStream(chunks), { contentType: "text/plain" });
        const existing = await store.get("streamed");
        assert.ok(Buffer.concat(chunks).equals(existing), `${count} chunks`);
        assert.equal((await store.head("streamed"))?.sizeBytes, count * pattern.length);
      }
    });

    withStore("writes nothing of a stream that breaks off, and keeps what stood there", async (store) => {
      await store.put("streamed", Buffer.from("before"));
      for (const count of [1, 20]) {
        const chunks = (async function* () {
          yield* asStream(Array<Uint8Array>(count).fill(new Uint8Array(1 << 20)));
          throw new TrommelError("missing-input", "the source is gone");
        })();
        await assert.rejects(store.putStream("streamed", chunks), { code: "missing-input" });
        assert.ok(Buffer.from("before").equals(await store.get("streamed")));
      }
      const keys: string[] = [];
      for await (const { key } of store.list("")) keys.push(key);
      assert.deepEqual(keys, ["streamed"]);
    });

    withStore("puts a view of a larger buffer, not the buffer", async (store) => {
      await store.put("view", text("abcdef").subarray(2, 4));
      assert.deepEqual([...(await store.get("view"))], [...text("cd")]);
    });

    withStore("gives a range of an object, of the listed one alone, and none past its end", async (store) => {
      const body = Uint8Array.from({ length: 300_000 }, (_, i) => i % 251);
      await store.put("object", body);
      const { etag = "" } = (await store.head("object")) ?? {};
      for (const [offset, length] of [
        [0, 1],
        [0, body.length],
        [250, 70_000],
        [body.length - 1, 1],
      ] as const) {
        const bytes = await store.get("object", { etag, range: { offset, length } });
        assert.ok(
          Buffer.from(bytes).equals(Buffer.from(body.subarray(offset, offset + length))),
          `${offset}`,
        );
      }
      const past = { range: { offset: body.length - 10, length: 11 } };
      await assert.rejects(store.get("object", past), { code: "corrupt" });
      const large = { range: { offset: 0, length: 20 }, maxBytes: 19 };
      await assert.rejects(store.get("object", large), { code: "too-large" });
      await store.put("object", text("another one"));
      const first = { etag, range: { offset: 0, length: 1 } };
      await assert.rejects(store.get("object", first), { code: "changed" });
    });

    withStore("overwrites, and its etag then differs", async (store) => {
      assert.equal(await store.put("k", text("one")), "written");
      const first = await store.head("k");
      assert.equal(await store.put("k", text("three")), "written");
      const second = await store.head("k");
      assert.equal(first?.sizeBytes, 3);
      assert.equal(second?.sizeBytes, 5);
      assert.notEqual(first.etag, second.etag);
      assert.deepEqual(await store.get("k"), text("three"));
    });

    withStore("leaves an existing object as it is with ifAbsent", async (store) => {
      assert.equal(await store.put("a/k", text("one"), { ifAbsent: true }), "written");
      assert.equal(await store.put("a/k", text("two"), { ifAbsent: true }), "exists");
      assert.deepEqual(await store.get("a/k"), text("one"));
      await store.delete(["a/k"]);
      assert.equal(await store.put("a/k", text("two"), { ifAbsent: true }), "written");
    });

    if (implementation.decidesRaces) {
      withStore("lets exactly one of many concurrent writers win", async (store) => {
        const bodies = Array.from({ length: 16 }, (_, i) => text(`writer ${i}`));
        const results = await Promise.all(
          bodies.map((body) => store.put("race/k", body, { ifAbsent: true })),
        );
        assert.equal(results.filter((result) => result === "written").length, 1);
        assert.deepEqual(await store.get("race/k"), bodies[results.indexOf("written")]);
        assert.deepEqual(await keysOf(store.list("")), ["race/k"]);
      });
    }

    withStore("shows a reader a whole object while it is overwritten", async (store) => {
      const bodies = ["a", "b"].map((letter) => text(letter.repeat(200_000)));
      await store.put("k", bodies[0]!);
      const writes = Promise.all(Array.from({ length: 10 }, (_, i) => store.put("k", bodies[i % 2]!)));
      for (let i = 0; i < 10; i += 1) {
        const seen = Buffer.from(await store.get("k"));
        assert.ok(bodies.some((body) => seen.equals(body)));
      }
      await writes;
    });

    withStore(
      "knows size, etag and time, the same in head and list, and nothing of what is not there",
      async (store) => {
        const before = Math.floor(Date.now() / 1000);
        await store.put("folder/k", text("12345"));
        const info = await store.head("folder/k");
        assert.equal(info?.key, "folder/k");
        assert.equal(info.sizeBytes, 5);
        assert.ok(info.etag.length > 0);
        const { modifiedSeconds = 0 } = info;
        assert.ok(Number.isInteger(modifiedSeconds));
        assert.ok(modifiedSeconds >= before - 2 && modifiedSeconds <= Date.now() / 1000 + 2);
        for await (const listed of store.list("")) assert.deepEqual(listed, info);
        for (const key of ["folder", "folder/k2", "folder/k/x", "other"])
          assert.equal(await store.head(key), undefined);
      },
    );

    withStore("lists in the order of the whole key's bytes", async (store) => {
      const keys = [
        "a/z",
        "a-b",
        "a.b",
        "a0",
        "a/b/c",
        "a/b-c",
        "a/b.c",
        "B",
        "b",
        "a!/x",
        "Z/1",
        "é",
        "z",
        "ｆ",
        "😀/a",
        "a/é",
      ];
      for (const key of keys) await store.put(key, text(key));
      assert.deepEqual(await keysOf(store.list("")), inByteOrder(keys));
    });

    withStore("starts after a key, there or not, inside folders and between them", async (store) => {
      const keys = inByteOrder(["a-b", "a/b/c", "a/b/d", "a/c", "a0", "b", "c/x"]);
      for (const key of keys) await store.put(key, text(key));
      for (const startAfter of [...keys, "a", "a/", "a/b", "a/b/", "a/b/cc", "a/b/z", "a1", "0", "c/", "d"]) {
        const expected = keys.filter((key) => Buffer.compare(Buffer.from(key), Buffer.from(startAfter)) > 0);
        assert.deepEqual(await keysOf(store.list("", { startAfter })), expected, `after ${startAfter}`);
        const below = expected.filter((key) => key.startsWith("a/"));
        assert.deepEqual(await keysOf(store.list("a/", { startAfter })), below, `a/ after ${startAfter}`);
      }
    });

    withStore("takes a prefix as the beginning of a key, not as a folder", async (store) => {
      const keys = ["cat/1", "cat/2", "cats/1", "ca", "dog/1"];
      for (const key of keys) await store.put(key, text(key));
      for (const prefix of [
        "",
        "c",
        "ca",
        "cat",
        "cat/",
        "cat/1",
        "cat/1/",
        "cats",
        "dog/1/x",
        "x",
        "nothing/here/",
      ]) {
        const expected = inByteOrder(keys.filter((key) => key.startsWith(prefix)));
        assert.deepEqual(await keysOf(store.list(prefix)), expected, `prefix ${prefix}`);
      }
    });

    if (implementation.takesThousands ?? true) {
      withStore("lists past a page of 1000 keys, and removes as many at once", async (store) => {
        const keys = Array.from({ length: 1105 }, (_, i) => `d${i % 3}/${String(i).padStart(5, "0")} x`);
        if (implementation.fill === undefined)
          await Promise.all(keys.map((key) => store.put(key, text("x"))));
        else implementation.fill(keys);
        assert.deepEqual(await keysOf(store.list("")), inByteOrder(keys));
        await store.delete([...keys.slice(1), "never/was"]);
        assert.deepEqual(await keysOf(store.list("")), keys.slice(0, 1));
      });
    }

    withStore("stops listing when the reader does", async (store) => {
      for (const key of ["a", "b", "c"]) await store.put(key, text(key));
      for await (const { key } of store.list("")) {
        assert.equal(key, "a");
        break;
      }
    });

    withStore("takes odd keys letter by letter", async (store) => {
      const nfc = "caf\u00e9";
      const nfd = "cafe\u0301";
      assert.notEqual(nfc, nfd);
      const names = [
        nfc,
        nfd,
        "a b",
        " lead",
        "trail ",
        "a+b",
        "100%",
        "%20",
        "a#b",
        "a?b=c&d",
        "it's",
        'say "x"',
      ];
      names.push(
        "x:y",
        "*",
        "<tag>",
        "&amp;",
        "..hidden",
        "...",
        ".dot",
        "日本語",
        "a~b!$'()@=;,",
        "line\nbreak",
      );
      const keys = names.flatMap((name) => [`in/${name}/leaf`, `${name}.jpg`]);
      for (const key of keys) await store.put(key, text(key));
      assert.deepEqual(await keysOf(store.list("")), inByteOrder(keys));
      for (const key of keys) {
        assert.deepEqual(await store.get(key), text(key), key);
        assert.equal((await store.head(key))?.key, key);
        assert.deepEqual(await keysOf(store.list(key)), [key]);
      }
      await store.delete(keys);
      assert.deepEqual(await keysOf(store.list("")), []);
    });

    withStore("refuses illegal keys by name, in every call", async (store) => {
      const illegal = [
        "",
        "/a",
        "a//b",
        "a/",
        "..",
        "../a",
        "a/../b",
        "./a",
        "a/.",
        "a\0b",
        "a\\..\\b",
        "\ud800",
        "a/.trommel-partial-1",
      ];
      for (const key of illegal) {
        const named = isError("invalid-argument", JSON.stringify(key));
        await assert.rejects(store.get(key), named);
        await assert.rejects(store.put(key, text("x")), named);
        await assert.rejects(store.put(key, text("x"), { ifAbsent: true }), named);
        await assert.rejects(store.head(key), named);
        await assert.rejects(store.delete(["fine", key]), named);
      }
      for (const prefix of ["/a", "../a", "a/../b", "a//", "a\\b"]) {
        await assert.rejects(keysOf(store.list(prefix)), isError("invalid-argument", JSON.stringify(prefix)));
      }
    });

    withStore("removes many, and takes absent ones as removed", async (store) => {
      for (const key of ["a", "b/c", "b/d"]) await store.put(key, text(key));
      await store.delete([]);
      await store.delete(["a", "b/c", "b/missing", "missing/x", "b"]);
      assert.deepEqual(await keysOf(store.list("")), ["b/d"]);
      await assert.rejects(store.get("a"), isError("not-found", "a"));
    });

    withStore("refuses a body above maxBytes and takes one of that size", async (store) => {
      await store.put("k", text("12345"));
      await assert.rejects(store.get("k", { maxBytes: 4 }), isError("too-large", "/k", "5", "4"));
      assert.deepEqual(await store.get("k", { maxBytes: 5 }), text("12345"));
      // The socket of the refused body must be free for the next call.
      assert.deepEqual(await store.get("k"), text("12345"));
    });

    withStore("gives only the object that was listed, where its etag is asked for", async (store) => {
      await store.put("in/k", text("one"));
      const listed: ObjectInfo[] = [];
      for await (const info of store.list("in/")) listed.push(info);
      const { etag } = listed[0]!;
      assert.deepEqual(await store.get("in/k", { etag }), text("one"));
      await store.put("in/k", text("two"));
      await assert.rejects(store.get("in/k", { etag }), isError("changed", "in/k", etag));
      assert.deepEqual(await store.get("in/k"), text("two"));
      const { etag: second = "" } = (await store.head("in/k")) ?? {};
      assert.deepEqual(await store.get("in/k", { etag: second }), text("two"));
      await store.delete(["in/k"]);
      await assert.rejects(store.get("in/k", { etag: second }), isError("not-found", "in/k"));
    });

    withStore("says not-found, naming the key, for what is not there", async (store) => {
      await store.put("folder/k", text("x"));
      for (const key of ["gone", "folder", "folder/k/below"]) {
        await assert.rejects(store.get(key), isError("not-found", key));
      }
    });

    withStore("gives up on a get when told to", async (store) => {
      await store.put("k", text("x"));
      await assert.rejects(store.get("k", { signal: AbortSignal.abort() }), isError("cancelled", "k"));
      const reason = new TrommelError("timed-out", "failed to wait");
      await assert.rejects(
        store.get("k", { signal: AbortSignal.abort(reason) }),
        (thrown) => thrown === reason,
      );
      assert.deepEqual(await store.get("k", { signal: new AbortController().signal }), text("x"));
    });
  });
}
