import {
  canonicalJson,
  openStore,
  outputKeys,
  parseJsonAs,
  scoringKeys,
  TrommelError,
  type BundleManifest,
  type FailedImage,
  type ObjectStore,
  type ScoringConfig,
  type Shard,
} from "@trommel/common";
import {
  errorLines,
  LedgerBuilder,
  mayBeUnknown,
  readScoringSpan,
  requireFewFailures,
  type RetriedImages,
  type ScoreCounts,
  type ScoringSuccess,
  type SubmissionOutcome,
} from "@trommel/common/artefacts";
import { readBounds } from "@trommel/common/store";
import { z } from "zod";
import { checkParts } from "./scoring/check-parts.js";
import type { StageContext, StageOutcome } from "./context.js";
import { countLabels, LabelCounts } from "./scoring/label-counts.js";
import { readShard } from "./inputs/listing.js";
import { readBundleManifest, readScoringConfig } from "./inputs/scoring.js";
import { readOutcomes, readRetriedImages, readShards, type ShardOutcomes } from "./inputs/shard-outcomes.js";
import { checkImageKeys, scorePartMarker, type ScorePartMarker } from "./scoring/score-part.js";
import { SpilledText } from "./scoring/spilled-text.js";
import { Submission } from "./scoring/submission.js";
import { jsonFile, putJson } from "@trommel/common/codec";

/**
 * Close: score parts → ledger, counts, merged outputs, `_SUCCESS.json`.
 *
 * In: every part, held against its marker (none may be missing), and those of the JSON lines against their shards as well: a
 * row for each file that did not fail, once and in order. Out: `submission.csv` where the scoring has the format `kaggle`,
 * `errors.jsonl`, `ledger.json`, `counts.json` and last `_SUCCESS.json`, with which the scoring is whole. One that says
 * something else, from before failed files were tried again, goes first. A retry writes the same bytes again.
 */
export async function close(scoringId: string, context: StageContext): Promise<StageOutcome> {
  const { store, signal } = context;
  const keys = scoringKeys(scoringId);
  const config = await readScoringConfig(store, scoringId);
  const span = await readScoringSpan(store, scoringId);
  const { retries } = span;
  const manifest = await readBundleManifest(config);
  const { labels } = manifest;
  const output = openStore(config.output);
  const lines = new SpilledText();
  try {
    await checkParts(output, {
      shards: span.shards,
      formats: config.formats,
      checkRows: async (index, { bytes, marker }) => {
        const scored = scorePartMarker.safeParse(marker);
        // Another marker is removed where it is read for the ledger.
        if (scored.success)
          checkPart({ bytes, marker: scored.data }, await readShard(store, keys.shard(index)), labels);
      },
      signal,
    });
    const outcomes: ShardOutcomes = {
      store,
      shardKey: keys.shard,
      outcomeOf: ({ index }) => ({ store: output, key: outputKeys.part(index, "jsonl") }),
      signal,
    };
    const retried = await readRetriedImages(outcomes, span);
    const builder = new LedgerBuilder(retried);
    const counts = new LabelCounts(labels);
    const merging = config.formats.includes("kaggle") ? new Submission(output, labels) : null;
    const all = { start: 0, end: span.shards };
    for await (const { shard, marker } of readOutcomes(outcomes, all, scorePartMarker)) {
      const failed = builder.add(shard, marker);
      await lines.write(errorLines(shard, failed));
      counts.add(marker.labels);
      await merging?.add(shard, marker.ok, withoutRow(shard, marker.failed, retried));
      if (failed.length > 0) context.onNote(`${builder.soFar().failed} failed`);
    }
    await builder.requireDistinct(() => readShards(outcomes, span.shards));
    const ledger = builder.ledger(span);
    // The last shards may have ended before the listing did, which a share of its images waits for.
    await requireFewFailures(store, scoringId, () => Promise.resolve(ledger.failed));
    const write = async <T>(put: () => Promise<T>): Promise<T> => {
      await requireLast(store, scoringId, retries, signal);
      return put();
    };
    await write(() => removeOther(output, retries));
    const submission = merging === null ? null : await write(() => merging.write(signal));
    if (submission?.merged === false)
      // The command that follows says it, and so does _SUCCESS.json.
      context.log.info({ id: scoringId, ...submission }, `${outputKeys.submission} is not written`);
    const stream = { contentType: "application/jsonl" };
    await write(() => output.putStream(outputKeys.failedImages, lines.chunks(), stream));
    await write(() => putJson(output, outputKeys.ledger, jsonFile(ledger)));
    const counted = counts.counts(ledger.ok);
    await write(() => putJson(output, outputKeys.counts, jsonFile(counted)));
    const shape = { parts: span.shards, retries };
    const success = describeScoring({ config, manifest, counts: counted, submission }, shape);
    await write(() => putJson(output, outputKeys.success, jsonFile(success)));
    return { images: 0, failed: 0 };
  } finally {
    await lines.close();
    output.close();
  }
}

/** Failed rows that no try gave a score. */
function withoutRow(shard: Shard, failed: readonly FailedImage[], retried: RetriedImages): FailedImage[] {
  return failed.filter(({ position }) => !retried.isRecovered({ shard: shard.index, position }));
}

const partLine = z.looseObject({ key: z.string(), label: z.string() });

/** @throws TrommelError `corrupt` where a part's rows are not its shard's, or its marker counts them otherwise */
function checkPart(
  { bytes, marker }: { readonly bytes: Uint8Array; readonly marker: ScorePartMarker },
  shard: Shard,
  labels: readonly string[],
): void {
  const lines = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8").split("\n");
  const whole = lines.pop() === "";
  const rows = lines.map((line, i) => parseJsonAs(partLine, line, `line ${i + 1} of ${marker.key}`));
  checkImageKeys(
    marker.key,
    rows.map(({ key }) => key),
    shard,
    marker.failed,
  );
  if (whole && canonicalJson(countLabels(rows, labels)) === canonicalJson(marker.labels)) return;
  throw new TrommelError(
    "corrupt",
    `cannot count the labels of ${marker.key}: its rows and its marker differ. Remove both and resume`,
    { context: { key: marker.key } },
  );
}

/**
 * Before each write: a worker that was paused may wake after others closed the scoring and its failed files were tried
 * again. What it has added up is then out of date, and must not replace theirs.
 * @throws TrommelError `conflict` if another retry was asked for since; the signal's reason
 */
async function requireLast(
  store: ObjectStore,
  scoringId: string,
  retries: number,
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  if ((await store.head(scoringKeys(scoringId).retry(retries))) === undefined) return;
  throw new TrommelError(
    "conflict",
    `cannot close ${scoringId}: its failed files are being tried again since it was added up. Resume it`,
    { context: { id: scoringId } },
  );
}

const successRetries = z.looseObject({ retries: z.int().default(0) });

/**
 * Removes a `_SUCCESS.json` that is of before the last retry, so that nobody takes what follows for its results; also one
 * that cannot be read.
 */
async function removeOther(output: ObjectStore, retries: number): Promise<void> {
  if ((await output.head(outputKeys.success)) === undefined) return;
  const body = await output.get(outputKeys.success, readBounds.document);
  if (retriesOf(body) !== retries) await output.delete([outputKeys.success]);
}

function retriesOf(success: Uint8Array): number | undefined {
  try {
    return parseJsonAs(successRetries, success, outputKeys.success).retries;
  } catch (thrown) {
    if (thrown instanceof TrommelError && thrown.code === "corrupt") return undefined;
    throw thrown;
  }
}

function describeScoring(
  scored: {
    readonly config: ScoringConfig;
    readonly manifest: BundleManifest;
    readonly counts: ScoreCounts;
    readonly submission: SubmissionOutcome | null;
  },
  { parts, retries }: { readonly parts: number; readonly retries: number },
): ScoringSuccess {
  const { config, manifest, counts, submission } = scored;
  const { unknownAbove, minProbability } = config;
  return {
    formatVersion: 1,
    scoring: config.id,
    parts,
    retries,
    formats: config.formats,
    files: config.formats.map((format) => ({
      format,
      first: outputKeys.part(0, format),
      last: outputKeys.part(parts - 1, format),
    })),
    rows: counts.images,
    model: config.bundle,
    decodeVersion: manifest.input.decodeVersion,
    novelty: manifest.novelty !== null,
    unknown: mayBeUnknown(config)
      ? { novelty: unknownAbove ?? null, minProbability: minProbability ?? null, images: counts.unknown ?? 0 }
      : null,
    submission,
  };
}
