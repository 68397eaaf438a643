import {
  openStore,
  writeWithMarker,
  type BundleManifest,
  type FailedImage,
  type ScoreFormat,
  type ScoreRow,
  type ScoringConfig,
  type Shard,
} from "@trommel/common";
import { acceptanceOf, readGeneration } from "@trommel/common/artefacts";
import type { Classified } from "../backbone/engines/engine.js";
import { joinFloats } from "../graph/join-floats.js";
import type { DeviceStageContext, StageOutcome } from "./context.js";
import { admitModel } from "./golden/admit-model.js";
import { countReasons } from "./images/count-reasons.js";
import { runBatches } from "./images/run-batches.js";
import { commitOnce } from "./inputs/commit-once.js";
import { readBundleManifest, readGenerationShard, readScoringConfig } from "./inputs/scoring.js";
import { readCopied } from "./scoring/copied-part.js";
import { countLabels } from "./scoring/label-counts.js";
import { loadClassifier, modelKeyOf } from "./scoring/load-classifier.js";
import { commitOtherFormats, contentTypes } from "./scoring/formats/other-formats.js";
import type { Scores } from "./scoring/formats/scores.js";
import { readCarried } from "./scoring/carried-columns.js";
import { checkImageKeys, findScored } from "./scoring/score-part.js";
import { scoreFeatures } from "./scoring/score-features.js";
import { embeddingsOf } from "./scoring/formats/embedding-rows.js";
import { jsonLinesPart, scoreRowOf } from "./scoring/formats/score-rows.js";

/**
 * Score: shard, bundle → score part.
 *
 * In: the shard's files and the bundle's model.onnx, or features that a run has stored and the bundle's heads. Out: under the
 * output prefix `part-<n>.jsonl` and a file for each other format, rows in shard order, each file with its marker. That of the JSON lines
 * is written last, and has the counts per label and a typed reason for each file that has no row. A shard that is kept of an earlier part
 * is copied from it.
 * Before the first shard the model must give for the bundle's golden pictures what it gave when it was made.
 * A retry finds every marker, or scores again and writes the same bytes.
 */
export async function score(
  scoringId: string,
  shardIndex: number,
  context: DeviceStageContext,
): Promise<StageOutcome> {
  const { store } = context;
  const config = await readScoringConfig(store, scoringId);
  const generation = await readGeneration(store, scoringId);
  const output = openStore(config.output);
  const keyOf = (format: ScoreFormat): string => generation.partKey(shardIndex, format);
  try {
    const key = keyOf("jsonl");
    const existing = await findScored(output, keyOf, config);
    if (existing !== undefined)
      return { images: existing.ok + existing.failed.length, failed: existing.failed.length };
    const shard = await readGenerationShard(store, generation, shardIndex);
    const manifest = await readBundleManifest(config);
    const { copied } = shard;
    const kept =
      copied === undefined ? undefined : await readCopied(output, config, manifest, { ...shard, copied });
    const { scores: scored, failed } = kept ?? (await scoreShard(config, manifest, shard, context));
    const columnsKey = generation.columnsKey(shardIndex);
    const carried = await readCarried(store, columnsKey, config, { shard, failed });
    const scores = { ...scored, carried };
    await commitOtherFormats(output, keyOf, config, manifest, scores);
    const { rows } = scores;
    checkImageKeys(
      key,
      rows.map((row) => row.key),
      shard,
      failed,
    );
    const counts = { ok: rows.length, failed, labels: countLabels(rows, manifest.labels) };
    await commitOnce(() =>
      writeWithMarker(output, key, jsonLinesPart(rows, carried), counts, {
        contentType: contentTypes.jsonl,
      }),
    );
    return kept === undefined
      ? { images: shard.entries.length, failed: failed.length, reasons: countReasons(failed) }
      : { images: 0, failed: 0 };
  } finally {
    output.close();
  }
}

type ShardScores = { readonly scores: Scores; readonly failed: readonly FailedImage[] };

async function scoreShard(
  config: ScoringConfig,
  manifest: BundleManifest,
  shard: Shard,
  context: DeviceStageContext,
): Promise<ShardScores> {
  const { device } = context;
  const { featuresOf, topK } = config;
  const { labels } = manifest;
  const options = { topK, accepts: acceptanceOf(config, manifest, config.bundle.location) };
  const rowsOf = (
    keys: readonly string[],
    { probabilities, novelty, embeddings }: Classified,
  ): ScoreRow[] => {
    const vectors = embeddings && embeddingsOf(embeddings, keys.length, config);
    return keys.map((key, i) => {
      const ofImage = probabilities.subarray(i * labels.length, (i + 1) * labels.length);
      const image = { probabilities: ofImage, novelty: novelty?.[i] ?? null };
      const row = scoreRowOf(key, image, labels, options);
      return vectors === null ? row : { ...row, embedding: vectors[i] };
    });
  };
  if (featuresOf !== undefined) {
    const { keys, failed, ...classified } = await scoreFeatures(
      { ...config, featuresOf },
      manifest,
      shard,
      context,
    );
    return { scores: { rows: rowsOf(keys, classified), probabilities: classified.probabilities }, failed };
  }
  const modelKey = modelKeyOf("model", config);
  await device.ensureClassifier(modelKey, () => loadClassifier(config, manifest, context));
  await admitModel(modelKey, config, manifest, context);
  const { side, decode, decodeVersion } = manifest.input;
  const scored: Scores[] = [];
  const failed = await runBatches({
    entries: shard.entries,
    source: config.source,
    decode: { ...decode, side, decodeVersion },
    batchSize: context.viewsPerBatch,
    context,
    run: async (batch) => {
      // The place is taken before the first wait, so that rows stand in shard order whichever batch ends first.
      const place = scored.push({ rows: [], probabilities: new Float32Array() }) - 1;
      const { pixels, positions } = batch;
      const classified = await device.classify(modelKey, pixels, positions.length, context.order);
      scored[place] = { rows: rowsOf(batch.keys, classified), probabilities: classified.probabilities };
    },
  });
  return { scores: joined(scored), failed };
}

function joined(scored: readonly Scores[]): Scores {
  return {
    rows: scored.flatMap(({ rows }) => rows),
    probabilities: joinFloats(scored.map(({ probabilities }) => probabilities)),
  };
}
