import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { describe, it } from "node:test";
import { openStore, sha256Hex, type Shard, type ScoringConfig } from "@trommel/common";
import { LedgerBuilder } from "#common/artefacts/shards/ledger-builder";
import { RetriedImages } from "#common/artefacts/shards/retried-images";
import { KeyFilter } from "#coordinator/listing/key-filter";
import { ListingTotals } from "#coordinator/listing/listing-totals";
import { chooseSample } from "#coordinator/plan/choose-sample";
import { streamShards } from "#coordinator/plan/stream-shards";
import { writeFiles } from "../../../support/images/dataset.js";
import { temporaryFolder } from "../../../support/files/temp-folder.js";

const folder = await temporaryFolder("choose-sample");
const { signal } = new AbortController();
let made = 0;

const keys = Array.from({ length: 200 }, (_, i) => `${i % 7}/图-${i}.jpg`);

/** The keys with the smallest hashes, by node's own hash and a sort of them all. */
function smallest(count: number, seed: number): string[] {
  const hash = (key: string): string =>
    createHash("sha256").update(`${seed}\n${key}`).digest("hex").slice(0, 12);
  return [...keys].sort((a, b) => (hash(a) < hash(b) ? -1 : 1)).slice(0, count);
}

async function place() {
  made += 1;
  const source = join(folder, `${made}/source`);
  await writeFiles(source, new Map([...keys, ".hidden/x.jpg", "left/out.png"].map((key) => [key, key])));
  return { source: openStore(source), store: openStore(join(folder, `${made}/store`)) };
}

function configOf(sample: ScoringConfig["sample"]): ScoringConfig {
  return {
    ...{ formatVersion: 1, id: "score-sampled", source: "file:///a", output: "file:///b" },
    ...{ bundle: { location: "file:///m", modelSha256: sha256Hex("m") }, topK: 1 },
    ...{ formats: ["jsonl"], shardSize: 16, exclude: ["*.png"] },
    ...(sample === undefined ? {} : { sample }),
  };
}

async function shardsOf(at: Awaited<ReturnType<typeof place>>, config: ScoringConfig): Promise<Shard[]> {
  const filter = new KeyFilter(config);
  const sample = await chooseSample(config, { ...at, signal, skip: (key) => filter.skip(key) });
  const shards: Shard[] = [];
  for await (const shard of streamShards({
    ...{ ...at, signal, shardKey: (index) => `shards/${index}.json`, shardSize: config.shardSize },
    skip: (key) => filter.skip(key) ?? sample.skip(key),
  }))
    shards.push(shard);
  return shards;
}

const keysOf = (shards: readonly Shard[]): string[] =>
  shards.flatMap(({ entries }) => entries.map(({ key }) => key));

describe("a sample of a listing", () => {
  it("is the images with the smallest hashes, whatever the seed", async () => {
    for (const [images, seed] of [
      [1, 0],
      [50, 0],
      [50, 7],
    ] as const) {
      const shards = await shardsOf(await place(), configOf({ images, seed }));
      assert.deepEqual(keysOf(shards).sort(), smallest(images, seed).sort());
    }
    assert.notDeepEqual(smallest(50, 0).sort(), smallest(50, 7).sort());
  });

  it("is all of a listing that has no more", async () => {
    assert.equal(
      keysOf(await shardsOf(await place(), configOf({ images: 1000, seed: 0 }))).length,
      keys.length,
    );
    assert.equal(keysOf(await shardsOf(await place(), configOf(undefined))).length, keys.length);
  });

  it("is counted with what it leaves out, and balances", async () => {
    const config = configOf({ images: 60, seed: 1 });
    const shards = await shardsOf(await place(), config);
    const filter = new KeyFilter(config);
    const totals = new ListingTotals(filter);
    const builder = new LedgerBuilder(new RetriedImages());
    for (const shard of shards) {
      totals.shards += 1;
      totals.add(shard);
      builder.add(shard, { ok: shard.entries.length, failed: [] });
    }
    const { listed, images, skipped } = totals.summary();
    assert.deepEqual([listed, images, skipped], [202, 60, 142]);
    const ledger = builder.ledger({ listed, shards: shards.length });
    assert.deepEqual(ledger.skippedByReason, { excluded: 1, hidden: 1, "not-sampled": 140 });
  });

  it("stays as it was drawn, though images have come since", async () => {
    const at = await place();
    const config = configOf({ images: 20, seed: 3 });
    await chooseSample(config, { ...at, signal, skip: () => undefined });
    await at.source.put("new/1.jpg", Buffer.from("new"));
    const drawn = keysOf(await shardsOf(at, config)).filter((key) => !key.startsWith("new/"));
    assert.deepEqual(drawn.sort(), smallest(20, 3).sort());
  });
});
