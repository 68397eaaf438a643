import {
  openStore,
  outputKeys,
  readMarker,
  scoringKeys,
  type ListingSummary,
  type ScoringConfig,
} from "@trommel/common";
import type { ScoringSuccess, SubmissionOutcome } from "@trommel/common/artefacts/scoring-output";
import type { StageContext, StageOutcome } from "./context.js";
import { LabelCounts } from "./label-counts.js";
import { LedgerBuilder, putJson } from "./ledger.js";
import { readBundleManifest, readListing, readScoringConfig, readShard } from "./read-config.js";
import { scorePartMarker } from "./score.js";
import { Submission } from "./submission.js";

/**
 * Close: score parts → ledger, counts, merged outputs, `_SUCCESS.json`.
 *
 * In: the marker of every part (none may be missing). Out: `submission.csv` where the scoring has the format `kaggle`,
 * `errors.jsonl`, `ledger.json`, `counts.json` and last `_SUCCESS.json`, with which the scoring is whole. A retry writes
 * the same bytes again.
 */
export async function close(scoringId: string, context: StageContext): Promise<StageOutcome> {
  const { store, signal } = context;
  const keys = scoringKeys(scoringId);
  const config = await readScoringConfig(store, scoringId);
  const listing = await readListing(store, keys.listing);
  const { labels } = await readBundleManifest(config);
  const output = openStore(config.output);
  try {
    const builder = new LedgerBuilder();
    const counts = new LabelCounts(labels);
    const merging = config.formats.includes("kaggle") ? new Submission(output, labels) : null;
    for (let index = 0; index < listing.shards; index += 1) {
      signal.throwIfAborted();
      const marker = await readMarker(output, outputKeys.part(index, "jsonl"), scorePartMarker);
      const shard = await readShard(store, keys.shard(index));
      builder.add(shard, marker.ok, marker.failed);
      counts.add(marker.labels);
      await merging?.add(shard, marker.failed);
    }
    const ledger = builder.ledger(listing.listed);
    const submission = merging === null ? null : await merging.write(signal);
    if (submission?.merged === false)
      context.log.warn({ id: scoringId, ...submission }, `${outputKeys.submission} is not written`);
    await output.put(outputKeys.errors, builder.errorLines(), { contentType: "application/jsonl" });
    await putJson(output, outputKeys.ledger, ledger);
    await putJson(output, outputKeys.counts, counts.counts(ledger.ok));
    await putJson(output, outputKeys.success, describeScoring(config, listing, ledger.ok, submission));
    return { images: 0, failed: 0 };
  } finally {
    output.close();
  }
}

function describeScoring(
  config: ScoringConfig,
  listing: ListingSummary,
  rows: number,
  submission: SubmissionOutcome | null,
): ScoringSuccess {
  return {
    formatVersion: 1,
    scoring: config.id,
    parts: listing.shards,
    formats: config.formats,
    files: config.formats.map((format) => ({
      format,
      first: outputKeys.part(0, format),
      last: outputKeys.part(listing.shards - 1, format),
    })),
    rows,
    model: config.bundle,
    submission,
  };
}
