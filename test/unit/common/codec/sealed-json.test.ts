import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import { TrommelError } from "@trommel/common";
import { parseSealedAs, sealedJson } from "#common/codec/sealed-json";
import { z } from "zod";

const schema = z
  .object({ seed: z.int(), share: z.number(), rows: z.array(z.int()), name: z.string() })
  .strict();
const value = { seed: 7, share: 0.1, rows: [0, 12, 255], name: "größer" };
const text = '{"name":"größer","rows":[0,12,255],"seed":7,"share":0.1}';

describe("sealed JSON", () => {
  it("is the canonical object with the hash of that object without it", () => {
    const hash = createHash("sha256").update(text, "utf8").digest("hex");
    const expected = `${text.slice(0, -1).replace(',"share"', `,"sha256":"${hash}","share"`)}}`;
    assert.equal(sealedJson(value).toString("utf8"), expected);
  });

  it("gives the same value back, and that of an object without a hash", () => {
    assert.deepEqual(parseSealedAs(schema, sealedJson(value), "it"), value);
    assert.deepEqual(parseSealedAs(schema, Buffer.from(text, "utf8"), "it"), value);
  });

  it("never gives another value, whichever bit is another", () => {
    const bytes = sealedJson(value);
    let refused = 0;
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      const damaged = Buffer.from(bytes);
      damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      try {
        assert.deepEqual(parseSealedAs(schema, damaged, "it"), value);
      } catch (thrown) {
        assert.ok(thrown instanceof TrommelError && thrown.code === "corrupt", String(thrown));
        refused += 1;
      }
    }
    assert.equal(refused, bytes.length * 8);
  });
});
