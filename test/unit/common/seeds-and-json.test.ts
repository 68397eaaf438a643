import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import { canonicalJson, seedFrom, TrommelError } from "@trommel/common";
import fc from "fast-check";

/** By the definition, one part after the other. */
function seedByDefinition(parts: readonly (string | number)[]): number {
  const hash = createHash("sha256");
  for (const part of parts) {
    const bytes = new TextEncoder().encode(String(part));
    hash.update(new Uint8Array(new Uint32Array([bytes.length]).buffer).reverse()).update(bytes);
  }
  return hash.digest().readInt32BE(0);
}

describe("seedFrom", () => {
  it("is the hash of length-prefixed texts, of any characters and any length", () => {
    const part = fc.oneof(fc.string({ unit: "binary" }), fc.integer(), fc.double());
    fc.assert(fc.property(fc.array(part), (parts) => seedFrom(...parts) === seedByDefinition(parts)));
    const long = ["view", "ü€😀".repeat(2000), 7];
    assert.equal(seedFrom(...long), seedByDefinition(long));
    assert.equal(seedFrom("after a long one"), seedByDefinition(["after a long one"]));
  });
});

describe("canonicalJson", () => {
  it("reads back as what was written, with sorted keys and no white space", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = canonicalJson(value);
        assert.deepEqual(JSON.parse(text), JSON.parse(JSON.stringify(value)));
        assert.equal(text.length, JSON.stringify(value).length);
      }),
    );
    assert.equal(canonicalJson({ b: [1, "ü", {}], a: null }), '{"a":null,"b":[1,"ü",{}]}');
  });

  it("does not depend on the order in which keys were set", () => {
    const texts = fc.oneof(fc.string({ unit: "binary" }), fc.constant("\\ud800"), fc.constant("\\udead\n"));
    const values = fc.dictionary(texts, fc.oneof(texts, fc.array(fc.record({ b: texts, a: fc.integer() }))));
    fc.assert(
      fc.property(values, (value) => {
        const turned = Object.fromEntries(Object.entries(value).reverse());
        assert.equal(canonicalJson(turned), canonicalJson(value));
        const inOrder = Object.fromEntries(
          Object.entries(value).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)),
        );
        assert.equal(canonicalJson(inOrder), canonicalJson(value));
      }),
    );
    for (const text of ["a\ud800", "\udc00\ud800"])
      assert.throws(() => canonicalJson({ a: [text, 1], b: "\\ud800" }), TrommelError);
  });

  it("says where the value is that it refuses", () => {
    for (const [value, path] of [
      [undefined, "$ is undefined"],
      [{ rows: [1, { x: Number.NaN }] }, "$.rows[1].x is NaN"],
      [[[], ["a\ud800"]], "$[1][0] has a text"],
      [{ "\udc00": 1 }, "$"],
      [{ when: new Date(0) }, "$.when is an instance of Date"],
    ] as const) {
      assert.throws(
        () => canonicalJson(value),
        (thrown) => {
          return thrown instanceof TrommelError && thrown.message.includes(`canonical JSON: ${path}`);
        },
      );
    }
  });
});
