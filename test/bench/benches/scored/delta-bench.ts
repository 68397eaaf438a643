import path from "node:path";
import { openStore, resolveLocation, scoringConfig, scoringKeys, sha256Hex } from "@trommel/common";
import { streamShards } from "#coordinator/plan/stream-shards";
import { comparisonRow } from "../../compare/comparison-row.js";
import { peakResidentMiB } from "../../measure/process-usage.js";
import type { BenchResult, BenchSetting } from "../../result.js";
import { BenchChild } from "../../synthetic/child.js";
import type { DeltaListed, DeltaPlannerOptions } from "../../synthetic/delta-planner.js";
import { SyntheticSource } from "../../synthetic/synthetic-source.js";

const classes = 1000;
/** One key in so many is new. */
const newEvery = 1000;
const shardSize = 256;
const id = "delta";

/**
 * The listing of a later generation, of ten million generated keys of which 0.1 % are new, against a listing of the same keys alone,
 * both in one process. The shards of the first generation lie in a store on the disk, as the product writes them.
 */
export async function benchDelta(
  _: undefined,
  _store: string,
  { folder, keys, say }: BenchSetting,
): Promise<BenchResult> {
  const store = resolveLocation(path.join(folder, "store"));
  const before = await writeFirstGeneration(store, keys);
  say(`delta: ${before.images} of ${keys} keys are listed in ${before.shards} shards`);
  const options: DeltaPlannerOptions = { store, classes, keys, config: configOf(), ...before };
  const planner = new BenchChild("delta-planner", options);
  try {
    const { aloneSeconds, seconds, images } = (await planner.message()) as DeltaListed;
    const peakMb = ((await peakResidentMiB(planner.pid)) * 2 ** 20) / 1e6;
    const expected = Math.ceil(keys / newEvery);
    const what = `delta: ${keys} keys, ${expected} of them new`;
    return {
      measured: { keys, aloneSeconds, seconds, images, peakMb },
      rows: [
        comparisonRow({
          ...{ what: `${what}: listed and compared, s, beside the listing alone`, digits: 1 },
          ...{ own: [seconds], anchor: [aloneSeconds], ratio: "anchor/own" },
        }),
        comparisonRow({
          what: `${what}: bytes of the planner's peak for each key`,
          own: [(peakMb * 1e6) / keys],
        }),
        comparisonRow({
          what: `${what}: peak of the planner's resident memory, MB`,
          own: [peakMb],
          digits: 0,
        }),
        {
          what: `${what}: found`,
          value: String(images),
          target: String(expected),
          reached: images === expected,
        },
      ],
    };
  } finally {
    await planner.stop();
  }
}

function configOf() {
  const bundle = { location: "s3://synthetic/bundle", modelSha256: sha256Hex(id) };
  return scoringConfig.parse({
    ...{
      formatVersion: 1,
      id,
      source: "file:///synthetic/pictures",
      output: "file:///synthetic/scores",
      bundle,
    },
    ...{ topK: 1, formats: ["jsonl"], shardSize },
  });
}

/** The shards of a listing without the keys that are new. */
async function writeFirstGeneration(
  location: string,
  keys: number,
): Promise<{ readonly shards: number; readonly images: number }> {
  const all = new SyntheticSource({ keys, classes });
  const store = openStore(location);
  const source = {
    url: all.url,
    list: async function* () {
      let index = 0;
      for await (const object of all.list("")) {
        if (index % newEvery !== 0) yield object;
        index += 1;
      }
    },
  };
  const sums = { shards: 0, images: 0 };
  const { signal } = new AbortController();
  const { shard: shardKey } = scoringKeys(id);
  const stream = streamShards({ source, store, shardKey, shardSize, signal, skip: () => undefined });
  for await (const shard of stream) {
    sums.shards += 1;
    sums.images += shard.entries.length;
  }
  store.close();
  return sums;
}
