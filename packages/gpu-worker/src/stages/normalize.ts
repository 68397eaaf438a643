import {
  parseJsonAs,
  pixelStatistics,
  runKeys,
  writeWithMarker,
  type PixelStatistics,
} from "@trommel/common";
import { findCommitted, jsonFile, readInput } from "@trommel/common/codec";
import { statisticsToNormalization } from "../image/statistics/statistics-to-normalization.js";
import type { StageContext, StageOutcome } from "./context.js";
import { commitOnce } from "./inputs/commit-once.js";
import { readListing } from "./inputs/listing.js";

/**
 * Normalize: pixel statistics → normalization.
 *
 * In: the statistics of every shard of the listing. Out: `normalization.json`, the dataset's mean and deviation.
 * A retry finds the marker, or adds up again to the same bytes.
 */
export async function normalize(runId: string, context: StageContext): Promise<StageOutcome> {
  const { store, signal } = context;
  const keys = runKeys(runId);
  if ((await findCommitted(store, keys.normalization)) !== undefined) return { images: 0, failed: 0 };
  const { shards } = await readListing(store, keys.listing);
  const statistics: PixelStatistics[] = [];
  for (let index = 0; index < shards; index += 1) {
    signal.throwIfAborted();
    const key = keys.statistics(index);
    const { bytes } = await readInput(store, key);
    statistics.push(parseJsonAs(pixelStatistics, bytes, key));
  }
  const figures = statisticsToNormalization(statistics);
  const rounded = (values: readonly number[]): string => values.map((value) => value.toFixed(2)).join(" ");
  context.onNote(`mean ${rounded(figures.mean)}, deviation ${rounded(figures.deviation)}`);
  await commitOnce(() => writeWithMarker(store, keys.normalization, jsonFile(figures)));
  return { images: 0, failed: 0 };
}
