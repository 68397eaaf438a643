import { markerSchema, runKeys, writeWithMarker } from "@trommel/common";
import { findCommitted, jsonFile, markerKeyOf } from "@trommel/common/codec";
import { z } from "zod";
import { PixelSums } from "../image/statistics/pixel-sums.js";
import type { DeviceStageContext, StageOutcome } from "./context.js";
import { commitOnce } from "./inputs/commit-once.js";
import { readShard } from "./inputs/listing.js";
import { readUnresolvedConfig } from "./inputs/run.js";
import { runBatches } from "./images/run-batches.js";

/** Images that are summed up at a time: few, for they wait for nothing. */
const imagesPerBatch = 4;

/** Counts alone: why an image could not be read is extraction's to say. */
const statisticsMarker = markerSchema.extend({
  ok: z.int().nonnegative(),
  failed: z.int().nonnegative(),
  /** The hash of the shard. An older marker has none. */
  shard: z.string().optional(),
});

/**
 * Measure: shard → pixel statistics.
 *
 * In: the shard's files, decoded as extraction does. Out: `statistics/<n>.json`, exact sums over the images that can be
 * read, and its marker. Images of both sides of the split count: pixels tell no label.
 * A retry finds the marker, or sums again to the same bytes. Statistics of another shard with this number, from a listing
 * that failed and was made again, are replaced. What cannot be read is left to extraction's ledger.
 */
export async function measure(
  runId: string,
  shardIndex: number,
  context: DeviceStageContext,
): Promise<StageOutcome> {
  const { store } = context;
  const keys = runKeys(runId);
  const key = keys.statistics(shardIndex);
  const { hash, entries } = await readShard(store, keys.shard(shardIndex));
  const existing = await findCommitted(store, key, statisticsMarker);
  if (existing !== undefined) {
    const { ok, failed, shard = hash } = existing;
    if (shard === hash) return { images: ok + failed, failed };
    await store.delete([markerKeyOf(key)]);
    await store.delete([key]);
  }
  const { dataset, recipe, side } = await readUnresolvedConfig(store, runId);
  const sums = new PixelSums();
  const { length: failed } = await runBatches({
    entries,
    source: dataset,
    decode: { ...recipe.decode, side },
    batchSize: imagesPerBatch,
    context,
    run: (batch) => {
      sums.add(batch.pixels);
      return Promise.resolve();
    },
  });
  const ok = entries.length - failed;
  await commitOnce(() =>
    writeWithMarker(store, key, jsonFile(sums.statistics(ok)), { ok, failed, shard: hash }),
  );
  return { images: entries.length, failed };
}
