import {
  canonicalJson,
  openStore,
  outputKeys,
  TrommelError,
  type FailureReason,
  type ObjectStore,
} from "@trommel/common";
import { parseSealedAs, putJsonOnce, sealedJson } from "@trommel/common/codec";
import {
  isRetried,
  readGeneration,
  readRetries,
  readScoringSpan,
  retryRequest,
  type RetryReasons,
  type RetryRequest,
} from "@trommel/common/artefacts";
import { readBounds } from "@trommel/common/store";
import { readResult } from "../run-control/result.js";
import type { Subject } from "../run-control/subject.js";

type Scoring = Extract<Subject, { readonly kind: "scoring" }>;

/**
 * How many images a retry would try again, or `joins` if that same retry is already under way.
 * @throws TrommelError `conflict` while the scoring is unfinished for another reason
 */
export async function checkScoringRetry(
  store: ObjectStore,
  scoring: Scoring,
  reasons: RetryReasons,
): Promise<number | "joins"> {
  const result = await readResult(store, scoring);
  if (result !== undefined) return countRetried(result.ledger.failedByReason, reasons);
  const retries = await readRetries(store, await readGeneration(store, scoring.id));
  requireSame(scoring.id, retries.at(-1)?.request, reasons);
  return "joins";
}

/**
 * Requests a retry of the failed images of a scoring, in place: from then on the scoring is unfinished, until it is closed again.
 * A second, equal request during the retry changes nothing.
 * @throws TrommelError `conflict` while it is unfinished for another reason
 */
export async function requestScoringRetry(
  store: ObjectStore,
  scoring: Scoring,
  reasons: RetryReasons,
): Promise<void> {
  const { id } = scoring;
  if ((await checkScoringRetry(store, scoring, reasons)) === "joins") return;
  const { generation, shards, retries } = await readScoringSpan(store, await readGeneration(store, id));
  const request: RetryRequest = { formatVersion: 1, index: retries, firstShard: shards, reasons };
  const key = generation.keys.retry(request.index);
  const body = sealedJson(request);
  if ((await putJsonOnce(store, key, body)) === "exists")
    requireSame(id, parseSealedAs(retryRequest, await store.get(key, readBounds.document), key), reasons);
  // The request alone makes it unfinished; this is for readers who know only the output prefix.
  const output = openStore(scoring.config.output);
  try {
    await output.delete([outputKeys.success]);
  } finally {
    output.close();
  }
}

function requireSame(id: string, request: RetryRequest | undefined, reasons: RetryReasons): void {
  if (request !== undefined && canonicalJson(request.reasons) === canonicalJson(reasons)) return;
  const why =
    request === undefined
      ? "it is not complete"
      : `its files are being tried again (${request.reasons === null ? "whatever the reason" : request.reasons.join(", ")})`;
  throw new TrommelError(
    "conflict",
    `cannot try the failed files of ${id} again: ${why}. 'trommel resume ${id}' first brings it to its end`,
    { context: { id } },
  );
}

/** Failed images that a retry for those reasons tries. */
export function countRetried(
  failedByReason: Readonly<Record<string, number>>,
  reasons: RetryReasons,
): number {
  return Object.entries(failedByReason).reduce(
    (sum, [reason, files]) => sum + (isRetried(reasons, reason as FailureReason) ? files : 0),
    0,
  );
}
