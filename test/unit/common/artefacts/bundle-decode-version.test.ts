import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { bundleManifest } from "@trommel/common";
import { decodeVersion } from "@trommel/common/artefacts";
import { parseJsonAs } from "@trommel/common/parse";

const kept = new URL(
  "../../../../stores/2026-11-28/bucket/store/runs/first/bundle/bundle.json",
  import.meta.url,
);
const written = JSON.parse(readFileSync(kept, "utf8")) as { readonly input: object };

describe("the decode version of a bundle", () => {
  const parse = (version?: number) => {
    const input = version === undefined ? written.input : { ...written.input, decodeVersion: version };
    return parseJsonAs(bundleManifest, Buffer.from(JSON.stringify({ ...written, input })), "bundle.json");
  };

  it("is the first one if the bundle was trained before there were any", () => {
    assert.ok(!("decodeVersion" in written.input));
    assert.equal(parse().input.decodeVersion, 1);
    assert.equal(parse(decodeVersion).input.decodeVersion, decodeVersion);
  });

  it("of a newer Trommel is refused with a word", () => {
    assert.throws(
      () => parse(decodeVersion + 1),
      /decodeVersion.*a newer Trommel trained it.*update this one/s,
    );
  });
});
