import path from "node:path";
import { openStore, resolveLocation, scoringConfig, scoringKeys, sha256Hex } from "@trommel/common";
import { streamShards } from "#coordinator/plan/stream-shards";
import { comparisonRow } from "../../compare/comparison-row.js";
import { peakResidentMiB } from "../../measure/process-usage.js";
import type { BenchResult, BenchSetting } from "../../result.js";
import { BenchChild } from "../../synthetic/child.js";
import type { DeltaListed, DeltaPlannerOptions } from "../../synthetic/delta-planner.js";
import { SyntheticSource, type SyntheticKeys } from "../../synthetic/synthetic-source.js";

const classes = 1000;
/** One key in so many is new. */
const newEvery = 1000;
const shardSize = 256;
const id = "delta";

/** The time of listing, and what may be added to it. */
const ratioAtMost = 1.5;

/**
 * The listing of a later generation, of ten million generated keys of which 0.1 % are new, in one process: beside a listing of the same
 * keys alone, from memory and from a bucket on this machine that answers at once, and beside the first listing, which writes the shards
 * that a store on the disk has, as the product does.
 */
export async function benchDelta(
  _: undefined,
  _store: string,
  { folder, keys, say }: BenchSetting,
): Promise<BenchResult> {
  const store = resolveLocation(path.join(folder, "store"));
  const start = performance.now();
  const before = await writeFirstGeneration(store, keys);
  const firstSeconds = (performance.now() - start) / 1000;
  say(`delta: ${before.images} of ${keys} keys are listed in ${before.shards} shards`);
  const server = new BenchChild("key-server", { keys, classes } satisfies SyntheticKeys);
  Object.assign(process.env, await server.message());
  const options: DeltaPlannerOptions = { store, classes, keys, config: configOf(), ...before };
  const planner = new BenchChild("delta-planner", options);
  try {
    const { memory, bucket } = (await planner.message()) as DeltaListed;
    const peakMb = ((await peakResidentMiB(planner.pid)) * 2 ** 20) / 1e6;
    const expected = Math.ceil(keys / newEvery);
    const what = `delta: ${keys} keys, ${expected} of them new`;
    const compared = { digits: 1, ratio: "own/anchor" } as const;
    return {
      measured: { keys, firstSeconds, memory, bucket, peakMb },
      rows: [
        comparisonRow({
          ...{
            what: `${what}: listed from a bucket and compared, s, beside that listing alone`,
            ...compared,
          },
          ...{ own: [bucket.seconds], anchor: [bucket.aloneSeconds], atMost: ratioAtMost },
        }),
        comparisonRow({
          ...{ what: `${what}: listed from memory and compared, s, beside the first listing`, ...compared },
          ...{ own: [memory.seconds], anchor: [firstSeconds], atMost: ratioAtMost },
        }),
        comparisonRow({
          ...{ what: `${what}: the same, s, beside generating the keys`, ...compared },
          ...{ own: [memory.seconds], anchor: [memory.aloneSeconds] },
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
          value: [memory, bucket].map(({ images }) => images).join(", "),
          target: String(expected),
          reached: memory.images === expected && bucket.images === expected,
        },
      ],
    };
  } finally {
    await planner.stop();
    await server.stop();
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
