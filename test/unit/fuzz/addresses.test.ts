import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { checkRunId, parseLocation, resolveLocation } from "@trommel/common";
import { describeRedis } from "#common/jobs/connection/redis-url";
import { parseRedisUrl } from "#common/jobs/connection/redis-url";
import { checkKey, checkPrefix, compareKeys, joinKey, whyIllegalKey } from "#common/store/key";
import fc from "fast-check";
import { fuzzSeed, parsesOrRefuses } from "../../support/files/hostile-bytes.js";

const piece = fc.constantFrom(
  ..."/ // . .. ... \\ \0 % %2e%2e %2F %ff %zz : @ # ? & = * ~ ' \" < > \n \x1b[2J \u2028 \ud800 é 😀 a b.jpg C: file: s3:// redis:// unix: 6379 [::1] 127.0.0.1 user pass .trommel-partial- __proto__".split(
    " ",
  ),
  " ",
  "+",
);
const text = fc.oneof(
  fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join("")),
  fc.string({ maxLength: 40, unit: "binary" }),
);
const runs = { seed: fuzzSeed, numRuns: 2000 };

describe("keys under fuzz", () => {
  it("are legal or refused, and a legal one names no other place", () => {
    fc.assert(
      fc.property(text, text, (key, other) => {
        parsesOrRefuses(() => checkPrefix(key));
        const joined = parsesOrRefuses(() => joinKey(key, other));
        if (joined !== undefined) assert.equal(whyIllegalKey(joined), undefined);
        parsesOrRefuses(() => checkKey(key));
        if (whyIllegalKey(key) !== undefined) return;
        const segments = key.split("/");
        assert.ok(segments.every((segment) => !["", ".", ".."].includes(segment)));
        assert.ok(!/[\0\\]/.test(key));
        assert.equal(
          new URL(segments.map(encodeURIComponent).join("/"), "file:///root/").pathname.startsWith("/root/"),
          true,
        );
      }),
      runs,
    );
  });

  it("are ordered as their bytes are", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), fc.string({ unit: "binary" }), (a, b) => {
        const [left, right] = [wellFormed(a), wellFormed(b)];
        assert.equal(
          Math.sign(compareKeys(left, right)),
          Buffer.compare(Buffer.from(left), Buffer.from(right)),
        );
      }),
      runs,
    );
  });
});

/** Lone surrogates are in no key. */
function wellFormed(text: string): string {
  return text.replaceAll(/\p{Surrogate}/gu, "\ufffd");
}

describe("locations under fuzz", () => {
  it("are parsed or refused, and say the same when they are read again", () => {
    const prefixed = fc.tuple(
      fc.constantFrom("", "file:", "file:///", "s3://", "s3://bucket/", "S3:/", "http://"),
      text,
    );
    fc.assert(
      fc.property(prefixed, ([scheme, rest]) => {
        const parsed = parsesOrRefuses(() => parseLocation(scheme + rest));
        if (parsed === undefined) return;
        assert.equal(resolveLocation(parsed.url), parsed.url);
        assert.deepEqual(parseLocation(parsed.url), parsed);
      }),
      runs,
    );
  });
});

describe("run ids under fuzz", () => {
  it("are one plain segment or refused", () => {
    fc.assert(
      fc.property(text, (id) => {
        const checked = parsesOrRefuses(() => checkRunId(id));
        if (checked !== undefined) assert.match(checked, /^[a-z0-9][a-z0-9._-]{0,62}$/);
      }),
      runs,
    );
  });
});

describe("Redis over TLS", () => {
  it("names its server where that has a name: addresses are no server names", () => {
    const tlsOf = (url: string) => parseRedisUrl(url).tls;
    assert.deepEqual(tlsOf("rediss://cache.example:6380"), { servername: "cache.example" });
    assert.deepEqual(tlsOf("rediss://127.0.0.1"), {});
    assert.deepEqual(tlsOf("rediss://[::1]:6379"), {});
    assert.equal(tlsOf("redis://cache.example"), undefined);
  });
});

describe("Redis URLs under fuzz", () => {
  it("are parsed or refused, without a word of the password", () => {
    const password = fc.string({ minLength: 6, unit: "grapheme-ascii" }).map((word) => `se${word}cret`);
    const schemes = fc.constantFrom("redis://", "rediss://", "unix:", "unix:/", "http://", "");
    fc.assert(
      fc.property(schemes, text, password, text, (scheme, user, secret, rest) => {
        const url = `${scheme}${user}:${encodeURIComponent(secret)}@${rest}`;
        let told = "";
        const options = parsesOrRefuses(() => {
          try {
            return parseRedisUrl(url);
          } catch (thrown) {
            told = (thrown as Error).message;
            throw thrown;
          }
        });
        assert.ok(!told.includes(secret) && !told.includes(encodeURIComponent(secret)));
        if (options === undefined || url.startsWith("unix:")) return;
        assert.ok(typeof options.port === "number" && options.port >= 0 && options.port < 65_536);
        if (options.password === secret) assert.ok(!describeRedis(url).includes(encodeURIComponent(secret)));
      }),
      runs,
    );
  });
});
