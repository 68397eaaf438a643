import { openStore, outputKeys, readMarker, scoringKeys } from "@trommel/common";
import type { StageContext, StageOutcome } from "./context.js";
import { LedgerBuilder, putJson } from "./ledger.js";
import { readListing, readScoringConfig, readShard } from "./read-config.js";
import { scorePartMarker } from "./score.js";

/**
 * Close: score parts → ledger, `_SUCCESS.json`.
 *
 * In: the marker of every part (none may be missing). Out: `errors.jsonl`, `ledger.json` and last `_SUCCESS.json`, with
 * which the scoring is whole. A retry writes the same bytes again.
 */
export async function close(scoringId: string, context: StageContext): Promise<StageOutcome> {
  const { store, signal } = context;
  const keys = scoringKeys(scoringId);
  const config = await readScoringConfig(store, scoringId);
  const listing = await readListing(store, keys.listing);
  const output = openStore(config.output);
  try {
    const builder = new LedgerBuilder();
    for (let index = 0; index < listing.shards; index += 1) {
      signal.throwIfAborted();
      const marker = await readMarker(output, outputKeys.part(index, "jsonl"), scorePartMarker);
      builder.add(await readShard(store, keys.shard(index)), marker.ok, marker.failed);
    }
    const ledger = builder.ledger(listing.listed);
    await output.put(outputKeys.errors, builder.errorLines(), { contentType: "application/jsonl" });
    await putJson(output, outputKeys.ledger, ledger);
    await putJson(output, outputKeys.success, {
      formatVersion: 1,
      scoring: scoringId,
      parts: listing.shards,
      formats: config.formats,
      rows: ledger.ok,
      model: config.bundle,
    });
    return { images: 0, failed: 0 };
  } finally {
    output.close();
  }
}
