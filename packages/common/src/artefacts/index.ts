export { bundleFiles, bundleManifest, chooseTopK } from "./results/bundle.js";
export { scoreCounts, scoringSuccess } from "./results/scoring-output.js";
export type { ScoreCounts, ScoringSuccess, SubmissionOutcome } from "./results/scoring-output.js";
export { resolveRunFeatures } from "./runs/resolved-run.js";
export type { ResolvedRun } from "./runs/resolved-run.js";
export {
  interruptedCode,
  noteStopReason,
  readStopReason,
  stopReasonKey,
  stopReasonOf,
} from "./runs/stop-reason.js";
export { findListing, findShard } from "./shards/find-shard.js";
export { ImageIdentities, contentIdentity, isListedAs } from "./shards/image-identities.js";
export { errorLine, outcomeMarker } from "./shards/ledger.js";
export type { ShardOutcome } from "./shards/ledger.js";
export { LedgerBuilder, checkOutcome, errorLines, okKeys } from "./shards/ledger-builder.js";
export type { ImagePlace } from "./shards/listing.js";
export { parseShard } from "./shards/parse-shard.js";
export { RetriedImages } from "./shards/retried-images.js";
export { isRetried, readRetries, readScoringSpan, retryRequest } from "./shards/retry.js";
export type { RetryReasons, RetryRequest, ScoringRetry, ShardSpan } from "./shards/retry.js";
