import assert from "node:assert/strict";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { describe, it } from "node:test";
import fc from "fast-check";
import { TrommelError } from "@trommel/common";
import { compareKeys, joinKey } from "#common/store/key";
import { resolveLocation } from "#common/store/location";
import { openStore } from "#common/store/open-store";
import { decodeListedKey } from "#common/store/s3/s3-list";
import { temporaryFolder } from "../../../support/files/temp-folder.js";
import { withVariables } from "../../../support/process/variables.js";

const isIllegal =
  (...parts: readonly string[]) =>
  (thrown: unknown) => {
    assert.ok(thrown instanceof TrommelError, String(thrown));
    assert.equal(thrown.code, "invalid-argument");
    for (const part of parts) assert.ok(thrown.message.includes(part), `${thrown.message} names ${part}`);
    return true;
  };

describe("keys", () => {
  it("are joined without doubled or outer slashes, and only to legal ones", () => {
    assert.equal(joinKey("a/", "/b", "", "c d/e.json"), "a/b/c d/e.json");
    assert.equal(joinKey("a"), "a");
    for (const parts of [[], ["", "/"], ["a", "..", "b"], ["a//b"], ["a", "x\\y"]]) {
      assert.throws(() => joinKey(...parts), isIllegal("key"));
    }
  });

  it("are ordered as their UTF-8 bytes are", () => {
    const letters = ["a", "-", "/", "\u007f", "é", "\ud7ff", "\ue000", "ｆ", "\uffff", "😀", "\u{10ffff}"];
    const keys = ["", ...letters, ...letters.flatMap((one) => letters.map((two) => one + two))];
    for (const left of keys) {
      for (const right of keys) {
        const expected = Buffer.compare(Buffer.from(left), Buffer.from(right));
        assert.equal(Math.sign(compareKeys(left, right)), expected, JSON.stringify([left, right]));
      }
    }
  });

  it("are decoded from a listing as S3 encodes them", () => {
    assert.equal(decodeListedKey("a+b%2Bc%25%23/caf%C3%A9%0A"), "a b+c%#/café\n");
  });
});

describe("any text", () => {
  /** Texts with what paths, URLs and shells give a meaning to, and any Unicode, lone surrogates too. */
  const piece = fc.oneof(
    {
      weight: 3,
      arbitrary: fc.constantFrom(
        "..",
        ".",
        "/",
        "\\",
        "\0",
        "%2e%2e",
        "%2f",
        "~",
        "$HOME",
        "`id`",
        "C:",
        "a",
        " ",
        "\n",
        "-rf",
      ),
    },
    { weight: 2, arbitrary: fc.string({ unit: "binary", maxLength: 4 }) },
    { weight: 1, arbitrary: fc.constantFrom("\ud800", "\udc00", "é", "e\u0301", "😀") },
  );
  const anyText = fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join(""));

  it("as a key is refused, or names one file inside the root that gives back its bytes", async () => {
    const folder = await temporaryFolder("any-key");
    const root = join(folder, "root");
    await mkdir(root);
    await writeFile(join(folder, "outside"), "outside");
    const store = openStore(root);
    await fc.assert(
      fc.asyncProperty(anyText, async (key) => {
        const body = Buffer.from(key, "utf8");
        try {
          await store.put(key, body);
        } catch (thrown) {
          assert.ok(thrown instanceof TrommelError);
          // Too long a name, or a folder of another key's name, is the file system's to refuse.
          assert.ok(["invalid-argument", "conflict"].includes(thrown.code), thrown.message);
          return;
        }
        assert.deepEqual(Buffer.from(await store.get(key)), body);
        const listed: string[] = [];
        for await (const info of store.list("")) listed.push(info.key);
        assert.deepEqual(listed, [key]);
        assert.deepEqual((await readdir(folder)).sort(), ["outside", "root"]);
        await store.delete([key]);
        await rm(root, { recursive: true });
        await mkdir(root);
      }),
      { numRuns: 400, seed: 4 },
    );
    assert.equal(await readFile(join(folder, "outside"), "utf8"), "outside");
  });

  it("as a location is refused, or has one absolute address that means the same again", () => {
    const forms = fc.tuple(
      fc.constantFrom("", "s3://", "s3://bucket/", "file://", "file:///", "/", "http://"),
      anyText,
    );
    fc.assert(
      fc.property(forms, ([start, rest]) => {
        let url: string;
        try {
          url = resolveLocation(start + rest);
        } catch (thrown) {
          isIllegal("s3://bucket/prefix")(thrown);
          return;
        }
        assert.match(url, /^(s3:\/\/[^/]|file:\/\/\/)/);
        assert.equal(resolveLocation(url), url);
        if (url.startsWith("s3://")) assert.ok(!url.split("/").some((part) => part === ".." || part === "."));
      }),
      { numRuns: 1000, seed: 4 },
    );
  });
});

describe("locations", () => {
  it("have one absolute URL, which opens as the same store", () => {
    const cases = {
      "file:///data/a%20b/": "file:///data/a%20b",
      "file://localhost/data": "file:///data",
      "/data/../x y%#?é": "file:///x%20y%25%23%3F%C3%A9",
      "s3://bucket": "s3://bucket",
      "s3://bucket/": "s3://bucket",
      "s3://bucket/a b/%20+é//": "s3://bucket/a b/%20+é",
    };
    for (const [text, url] of Object.entries(cases)) {
      assert.equal(resolveLocation(text), url);
      assert.equal(resolveLocation(url), url);
      assert.equal(openStore(text).url, url);
    }
    const relative = resolveLocation("photos/new");
    assert.equal(relative, resolveLocation(resolve("photos/new")));
    assert.match(relative, /^file:\/\/\/.*\/photos\/new$/);
  });

  it("refuse every other form, naming the legal ones", () => {
    const bad = [
      "",
      " ",
      "http://host/x",
      "gs://bucket",
      "file:relative",
      "file://host/x",
      "file:///a%2Fb",
      "s3:bucket",
    ];
    bad.push(
      "s3://",
      "s3:///key",
      "s3://b",
      "s3://Bad Bucket/x",
      "s3://bucket/a/../b",
      "s3://bucket/a//b",
      "a\0b",
    );
    for (const text of bad)
      assert.throws(() => openStore(text), isIllegal("s3://bucket/prefix", "file:///"), text);
  });

  it("never repeat a password", () => {
    for (const text of ["s3://KEY:hunter2@bucket/x", "ftp://me:hunter2@host/x"]) {
      assert.throws(
        () => openStore(text),
        (thrown: unknown) => thrown instanceof TrommelError && !JSON.stringify(thrown).includes("hunter2"),
      );
    }
  });

  it("refuse variables that mean nothing", () => {
    for (const variables of [
      { TROMMEL_S3_FORCE_PATH_STYLE: "maybe" },
      { AWS_ENDPOINT_URL_S3: "not a url" },
    ]) {
      const restore = withVariables(variables);
      try {
        assert.throws(() => openStore("s3://bucket"), isIllegal(Object.keys(variables)[0]!));
      } finally {
        restore();
      }
    }
  });
});
