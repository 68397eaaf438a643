import assert from "node:assert/strict";
import { resolve } from "node:path";
import { describe, it } from "node:test";
import { TrommelError } from "@trommel/common";
import { compareKeys, joinKey } from "@trommel/common/store/key";
import { resolveLocation } from "@trommel/common/store/location";
import { openStore } from "@trommel/common/store/open-store";
import { decodeListedKey } from "@trommel/common/store/s3-list";
import { withVariables } from "../support/variables.js";

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
