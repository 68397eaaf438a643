import {
  canonicalJson,
  openStore,
  outputKeys,
  parseJsonAs,
  TrommelError,
  type BundleManifest,
  type FailedImage,
  type Ledger,
  type ScoringConfig,
  type Shard,
} from "@trommel/common";
import {
  currentShards,
  errorLines,
  generationOutput,
  LedgerBuilder,
  mayBeUnknown,
  PartList,
  readGeneration,
  readScoringSpan,
  requireFewFailures,
  scoredImages,
  spansOf,
  type PartPlace,
  type PartSpan,
  type RetriedImages,
  type ScoreCounts,
  type ScoringSpan,
  type ScoringSuccess,
  type SubmissionOutcome,
} from "@trommel/common/artefacts";
import { range } from "@trommel/common/store";
import { z } from "zod";
import { checkParts } from "./scoring/check-parts.js";
import type { StageContext, StageOutcome } from "./context.js";
import { countLabels, LabelCounts } from "./scoring/label-counts.js";
import { readBundleManifest, readGenerationShard, readScoringConfig } from "./inputs/scoring.js";
import { Differences } from "./scoring/differences.js";
import { readOutcomes, readRetriedImages, readShards, type ShardOutcomes } from "./inputs/shard-outcomes.js";
import { checkImageKeys, scorePartMarker, type ScorePartMarker } from "./scoring/score-part.js";
import { SpilledText } from "./scoring/spilled-text.js";
import { removeOther, requireLast } from "./scoring/last-closing.js";
import { Submission } from "./scoring/submission.js";
import { jsonFile, putJson } from "@trommel/common/codec";

/** A manifest and archives have an order of their own, and so have the images of an earlier scoring and of a run. */
function isInKeyOrder({ from, rescoreOf, featuresOf }: ScoringConfig): boolean {
  return from === undefined && rescoreOf === undefined && featuresOf === undefined;
}

/**
 * Close: score parts → ledger, counts, merged outputs, `_SUCCESS.json`.
 *
 * In: every part, held against its marker (none may be missing), and those of the JSON lines against their shards as well: a
 * row for each file that did not fail, once and in order. Out: `submission.csv` where the scoring has the format `kaggle`,
 * `errors.jsonl`, `ledger.json`, `counts.json` and last `_SUCCESS.json`, with which the scoring is whole. One that says
 * something else, from before failed files were tried again, goes first. A retry writes the same bytes again.
 * A scoring by another model of an earlier one's images writes `differences.jsonl` and `differences.json` as well.
 * A later generation checks its own parts whole and adds up the markers of those that it keeps; what it writes lies
 * in its folder, and `_SUCCESS.json` alone is replaced.
 */
export async function close(scoringId: string, context: StageContext): Promise<StageOutcome> {
  const { store, signal } = context;
  const config = await readScoringConfig(store, scoringId);
  const span = await readScoringSpan(store, await readGeneration(store, scoringId));
  const { generation, found } = span;
  const manifest = await readBundleManifest(config);
  const { labels } = manifest;
  const output = openStore(config.output);
  const lines = new SpilledText();
  const readShard = (index: number): Promise<Shard> => readGenerationShard(store, generation, index);
  try {
    await checkParts(output, {
      shards: range(generation.base.length, span.shards),
      keyOf: (index, format) => generation.partKey(index, format),
      formats: config.formats,
      checkRows: async (index, { bytes, marker }) => {
        const scored = scorePartMarker.safeParse(marker);
        // Another marker is removed where it is read for the ledger.
        if (scored.success) checkPart({ bytes, marker: scored.data }, await readShard(index), labels);
      },
      signal,
    });
    const outcomes: ShardOutcomes = {
      readShard,
      outcomeOf: ({ index }) => ({ store: output, key: generation.partKey(index, "jsonl") }),
      signal,
    };
    const retried = await readRetriedImages(outcomes, span);
    const builder = new LedgerBuilder(retried);
    if (found !== undefined) builder.addSkipped(found);
    const counts = new LabelCounts(labels);
    const inKeyOrder = generation.number === 0 && isInKeyOrder(config);
    const merging = config.formats.includes("kaggle")
      ? new Submission(output, labels, generation, { inKeyOrder })
      : null;
    for await (const { shard, marker } of readOutcomes(outcomes, currentShards(span), scorePartMarker)) {
      const isKept = shard.index < generation.base.length || shard.copied !== undefined;
      const failed = builder.add(shard, marker, { isKept });
      await lines.write(errorLines(shard, failed));
      counts.add(marker.labels);
      await merging?.add(shard, marker.ok, withoutRow(shard, marker.failed, retried));
      if (failed.length > 0) context.onNote(`${builder.soFar().failed} failed`);
    }
    await builder.requireDistinct(() => readShards(outcomes, currentShards(span)));
    const parts = spansOf(placesOf(span));
    const current = new PartList(parts).length;
    const ledger = builder.ledger({ listed: span.listed, shards: current });
    // The last shards may have ended before the listing did, which a share of its images waits for.
    await requireFewFailures(store, scoringId, () => Promise.resolve(ledger.failed));
    const write = async <T>(put: () => Promise<T>): Promise<T> => {
      await requireLast(store, scoringId, span, signal);
      return put();
    };
    await write(() => removeOther(output, span));
    const submission = merging === null ? null : await write(() => merging.write(signal));
    if (submission?.merged === false)
      // The command that follows says it, and so does _SUCCESS.json.
      context.log.info({ id: scoringId, ...submission }, `${outputKeys.submission} is not written`);
    const stream = { contentType: "application/jsonl" };
    const to = generation.output;
    await write(() => output.putStream(to.failedImages, lines.chunks(), stream));
    await write(() => putJson(output, to.ledger, jsonFile(ledger)));
    if (config.rescoreOf !== undefined) {
      const after = { location: config.output, parts };
      const differences = new Differences({ before: config.rescoreOf, after }, signal);
      await write(() => output.putStream(to.differences, differences.lines(), stream));
      await write(() => putJson(output, to.differenceCounts, jsonFile(differences.counts())));
    }
    const counted = counts.counts(scoredImages(ledger));
    await write(() => putJson(output, to.counts, jsonFile(counted)));
    const success = describeScoring({ config, manifest, counts: counted, submission, ledger }, span, parts);
    await write(() => putJson(output, outputKeys.success, jsonFile(success)));
    return { images: 0, failed: 0 };
  } finally {
    await lines.close();
    output.close();
  }
}

function* placesOf(span: ScoringSpan): Generator<PartPlace> {
  for (const index of currentShards(span)) yield span.generation.placeOf(index);
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

function describeScoring(
  scored: {
    readonly config: ScoringConfig;
    readonly manifest: BundleManifest;
    readonly counts: ScoreCounts;
    readonly submission: SubmissionOutcome | null;
    readonly ledger: Ledger;
  },
  { generation, found, retries }: ScoringSpan,
  parts: readonly PartSpan[],
): ScoringSuccess {
  const { config, manifest, counts, submission, ledger } = scored;
  const { unknownAbove, minProbability } = config;
  return {
    formatVersion: 1,
    scoring: config.id,
    ...(found === undefined
      ? {}
      : {
          generation: {
            number: generation.number,
            folder: generation.output.folder,
            ...{ added: found.added, changed: found.changed, removed: found.removed },
            unchanged: ledger.unchanged ?? 0,
            parts: [...parts],
          },
        }),
    parts: new PartList(parts).length,
    retries,
    formats: config.formats,
    files: config.formats.flatMap((format) =>
      parts.map(({ generation: of, first, last }) => {
        const { part } = generationOutput(of);
        return { format, first: part(first, format), last: part(last, format) };
      }),
    ),
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
