import {
  openStore,
  outputKeys,
  scoringKeys,
  type ListingSummary,
  type ScoreFormat,
  type ScoringConfig,
} from "@trommel/common";
import { readInputMarker } from "@trommel/common/codec/stage-input";
import type { ScoringSuccess, SubmissionOutcome } from "@trommel/common/artefacts/scoring-output";
import { checkParts } from "./check-parts.js";
import type { StageContext, StageOutcome } from "./context.js";
import { LabelCounts } from "./label-counts.js";
import { LedgerBuilder, putJson } from "./ledger.js";
import { readBundleManifest, readListing, readScoringConfig, readShard } from "./read-config.js";
import { scorePartMarker } from "./score.js";
import { Submission } from "./submission.js";

/**
 * Close: score parts → ledger, counts, merged outputs, `_SUCCESS.json`.
 *
 * In: every part, held against its marker (none may be missing). Out: `submission.csv` where the scoring has the format `kaggle`,
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
    await checkParts(output, { shards: listing.shards, formats: partFormats(config), signal });
    const builder = new LedgerBuilder();
    const counts = new LabelCounts(labels);
    const merging = config.formats.includes("kaggle") ? new Submission(output, labels) : null;
    for (let index = 0; index < listing.shards; index += 1) {
      signal.throwIfAborted();
      const marker = await readInputMarker(output, outputKeys.part(index, "jsonl"), scorePartMarker);
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

/** The JSON lines are written for every scoring: their marker has its counts. */
function partFormats({ formats }: ScoringConfig): ScoreFormat[] {
  return [...new Set<ScoreFormat>(["jsonl", ...formats])];
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
