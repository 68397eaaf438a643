import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  canonicalJson,
  catalogueEntry,
  featureShardMarker,
  jobPayload,
  ledger,
  listingSummary,
  parseJsonAs,
  recipe,
  runConfig,
  scoringConfig,
  shard,
  split,
  weightCatalogue,
  type ObjectStore,
} from "@trommel/common";
import { findMarker } from "#common/codec/marker";
import fc from "fast-check";
import {
  checkPrototypes,
  fuzzSeed,
  hostileBytes,
  hostileJson,
  parsesOrRefuses,
  parsesOrRefusesLater,
} from "../../support/files/hostile-bytes.js";

const hash = "0123456789abcdef".repeat(4);
const marker = {
  formatVersion: 1,
  key: "features/a",
  sha256: hash,
  sizeBytes: 3,
  rows: 2,
  ok: 1,
  failed: [{ position: 0, key: "a/b.jpg", reason: "truncated", detail: "it ends early", tries: 1 }],
};
const entry = {
  name: "net",
  url: "https://example.org/net.h5",
  sha256: hash,
  licence: "MIT",
  architecture: "mobilenet-v1",
  inputSize: 224,
  normalization: "tf",
  channelOrder: "rgb",
};

/** Each artefact by its schema, and a value that it takes. */
const artefacts = [
  {
    name: "a shard",
    schema: shard,
    value: {
      formatVersion: 1,
      index: 0,
      hash,
      entries: [{ key: "a/b.jpg", sizeBytes: 3, etag: "e" }],
      skipped: [{ key: ".x", reason: "hidden" }],
    },
  },
  {
    name: "a listing",
    schema: listingSummary,
    value: {
      formatVersion: 1,
      shards: 1,
      listed: 2,
      images: 1,
      skipped: 1,
      sizeBytes: 3,
      classes: [{ label: "a", images: 1 }],
    },
  },
  {
    name: "a split",
    schema: split,
    value: { formatVersion: 1, seed: 1, fraction: 0.1, validation: ["a/b.jpg"] },
  },
  {
    name: "a ledger",
    schema: ledger,
    value: {
      formatVersion: 1,
      listed: 3,
      ok: 1,
      failed: 1,
      skipped: 1,
      balanced: true,
      failedByReason: { truncated: 1 },
      skippedByReason: { hidden: 1 },
      shards: 1,
    },
  },
  {
    name: "run.json",
    schema: runConfig,
    value: {
      formatVersion: 1,
      id: "a",
      dataset: "file:///data",
      recipe: recipe.parse({ backbones: ["net"] }),
      labels: { classes: ["a", "b"], tableSha256: null },
      export: null,
      backbones: [{ id: "net@0123456789ab", hash, dimension: 8, inputSize: 64 }],
      side: 64,
      fingerprint: hash,
    },
  },
  {
    name: "scoring.json",
    schema: scoringConfig,
    value: {
      formatVersion: 1,
      id: "a",
      source: "file:///data",
      output: "file:///scores",
      bundle: { location: "file:///bundle", modelSha256: hash },
      topK: 1,
      formats: ["jsonl"],
      shardSize: 8,
    },
  },
  { name: "a job", schema: jobPayload, value: { stage: "extract", id: "a", attempt: 1, shard: 0 } },
  {
    name: "a weight catalogue",
    schema: weightCatalogue,
    value: [entry, { ...entry, name: "net2", normalization: { mean: [0, 0, 0], deviation: [1, 1, 1] } }],
  },
  { name: "a catalogue's entry", schema: catalogueEntry, value: entry },
  { name: "a marker", schema: featureShardMarker, value: marker },
] as const;

describe("JSON artefacts under fuzz", () => {
  for (const { name, schema, value } of artefacts) {
    it(`take or refuse ${name}, and what is taken is written as it was read`, () => {
      const bytes = Buffer.from(JSON.stringify(value));
      const check = (given: Uint8Array): void => {
        const parsed = parsesOrRefuses(() => parseJsonAs<typeof schema>(schema, given, name));
        if (parsed === undefined) return;
        const again = parseJsonAs<typeof schema>(schema, canonicalJson(parsed), name);
        assert.deepEqual(again, parsed);
      };
      check(bytes);
      fc.assert(fc.property(hostileBytes(bytes), check), { seed: fuzzSeed, numRuns: 250 });
      fc.assert(
        fc.property(hostileJson(value), (hostile) => check(Buffer.from(JSON.stringify(hostile) ?? ""))),
        { seed: fuzzSeed, numRuns: 500 },
      );
      checkPrototypes();
    });
  }

  it("find a marker, none, or refuse it, whatever stands at its key", async () => {
    let body: Uint8Array = new Uint8Array();
    // The smallest store that a marker can be read from.
    const store = { url: "memory:", get: () => Promise.resolve(body) } as unknown as ObjectStore;
    await fc.assert(
      fc.asyncProperty(hostileBytes(JSON.stringify(marker)), async (bytes) => {
        body = bytes;
        await parsesOrRefusesLater(() => findMarker(store, marker.key, featureShardMarker));
      }),
      { seed: fuzzSeed, numRuns: 500 },
    );
    body = Buffer.from(JSON.stringify(marker));
    assert.deepEqual(await findMarker(store, marker.key, featureShardMarker), marker);
  });

  it("nest without end and are refused", () => {
    for (const deep of [
      "[".repeat(100_000),
      "[".repeat(100_000) + "]".repeat(100_000),
      '{"a":'.repeat(50_000),
    ]) {
      parsesOrRefuses(() => parseJsonAs(shard, deep, "a shard"));
      parsesOrRefuses(() => parseJsonAs(ledger, `{"formatVersion":1,"listed":${deep}}`, "a ledger"));
    }
  });
});
