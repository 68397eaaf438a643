import {
  backboneId,
  bundleFiles,
  decodeHeadWeights,
  decodeNovelty,
  decodeProjection,
  openStore,
  outputKeys,
  scoringKeys,
  sha256Hex,
  TrommelError,
  writeWithMarker,
  type BundleManifest,
  type FailedImage,
  type ObjectStore,
  type ScoreRow,
  type ScoringConfig,
  type Shard,
} from "@trommel/common";
import { acceptanceOf, decodeStandardization, mayBeUnknown } from "@trommel/common/artefacts";
import { servedFlips } from "@trommel/common/recipe";
import { readBounds } from "@trommel/common/store";
import { decodeEnsemble, type Ensemble } from "../head/model/ensemble.js";
import type { ClassifierModel, DeviceStageContext, StageOutcome } from "./context.js";
import { loadBackbones } from "./inputs/load-backbones.js";
import { kaggleHeader, kaggleRecords } from "./scoring/kaggle-rows.js";
import { countLabels } from "./scoring/label-counts.js";
import { readShard } from "./inputs/listing.js";
import { readBundleManifest, readScoringConfig } from "./inputs/scoring.js";
import { commitOnce } from "./inputs/commit-once.js";
import { runBatches } from "./images/run-batches.js";
import { checkImageKeys, findScored } from "./scoring/score-part.js";
import { csvPart, jsonLinesPart, resultPart, scoreRowOf } from "./scoring/score-rows.js";

/** What a shard, or a batch of it, was scored as. */
interface Scores {
  readonly rows: readonly ScoreRow[];
  /** Records of Kaggle's CSV; empty where the scoring has no such format. */
  readonly kaggle: string;
}

/**
 * Score: shard, bundle → score part.
 *
 * In: the shard's files and the bundle's model.onnx. Out: under the output prefix `part-<n>.jsonl` and a file for each
 * other format, rows in shard order, each file with its marker. That of the JSON lines is written last, and has the counts
 * per label and a typed reason for each file that has no row.
 * A retry finds every marker, or scores again and writes the same bytes.
 */
export async function score(
  scoringId: string,
  shardIndex: number,
  context: DeviceStageContext,
): Promise<StageOutcome> {
  const config = await readScoringConfig(context.store, scoringId);
  const output = openStore(config.output);
  try {
    const key = outputKeys.part(shardIndex, "jsonl");
    const existing = await findScored(output, shardIndex, config);
    if (existing !== undefined)
      return { images: existing.ok + existing.failed.length, failed: existing.failed.length };
    const shard = await readShard(context.store, scoringKeys(scoringId).shard(shardIndex));
    const manifest = await readBundleManifest(config);
    const { scores, failed } = await scoreShard(config, manifest, shard, context);
    await commitOtherFormats(output, shardIndex, config, manifest, scores);
    const { rows } = scores;
    checkImageKeys(
      key,
      rows.map((row) => row.key),
      shard,
      failed,
    );
    const counts = { ok: rows.length, failed, labels: countLabels(rows, manifest.labels) };
    await commitOnce(() =>
      writeWithMarker(output, key, jsonLinesPart(rows), counts, { contentType: "application/jsonl" }),
    );
    return { images: shard.entries.length, failed: failed.length };
  } finally {
    output.close();
  }
}

/** Each has its own marker: after the first of them nothing else says yet that the shard is scored. */
async function commitOtherFormats(
  output: ObjectStore,
  shardIndex: number,
  config: ScoringConfig,
  { labels, novelty }: BundleManifest,
  { rows, kaggle }: Scores,
): Promise<void> {
  const columns = { topK: config.topK, novelty: novelty !== null, likeliest: mayBeUnknown(config) };
  const encode = {
    csv: () => csvPart(rows, columns),
    result: () => resultPart(rows),
    kaggle: () => Buffer.from(kaggleHeader(labels) + kaggle, "utf8"),
  };
  for (const format of config.formats) {
    if (format === "jsonl") continue;
    const key = outputKeys.part(shardIndex, format);
    const contentType = key.endsWith(".csv") ? "text/csv" : "application/jsonl";
    await commitOnce(() =>
      writeWithMarker(output, key, encode[format](), { ok: rows.length }, { contentType }),
    );
  }
}

async function scoreShard(
  config: ScoringConfig,
  manifest: BundleManifest,
  shard: Shard,
  context: DeviceStageContext,
): Promise<{ scores: Scores; failed: FailedImage[] }> {
  const { device } = context;
  const modelKey = `model ${config.bundle.modelSha256}`;
  await device.ensureClassifier(modelKey, () => loadClassifier(config, manifest, context));
  const { side, decode, decodeVersion } = manifest.input;
  const classCount = manifest.labels.length;
  const accepts = acceptanceOf(config, manifest, config.bundle.location);
  const forKaggle = config.formats.includes("kaggle");
  const scored: Scores[] = [];
  const failed = await runBatches({
    entries: shard.entries,
    source: config.source,
    decode: { ...decode, side, decodeVersion },
    batchSize: context.viewsPerBatch,
    context,
    run: async (batch) => {
      // The place is taken before the first wait, so that rows stand in shard order whichever batch ends first.
      const place = scored.push({ rows: [], kaggle: "" }) - 1;
      const { pixels, positions } = batch;
      const { probabilities, novelty } = await device.classify(
        modelKey,
        pixels,
        positions.length,
        context.order,
      );
      const rows = batch.keys.map((key, i) => {
        const image = {
          probabilities: probabilities.subarray(i * classCount, (i + 1) * classCount),
          novelty: novelty?.[i] ?? null,
        };
        return scoreRowOf(key, image, manifest.labels, { topK: config.topK, accepts });
      });
      scored[place] = { rows, kaggle: forKaggle ? kaggleRecords(batch.keys, probabilities, classCount) : "" };
    },
  });
  const rows = scored.flatMap((batch) => batch.rows);
  return { scores: { rows, kaggle: scored.map((batch) => batch.kaggle).join("") }, failed };
}

async function loadClassifier(
  config: ScoringConfig,
  manifest: BundleManifest,
  context: DeviceStageContext,
): Promise<ClassifierModel> {
  const bundle = openStore(config.bundle.location);
  try {
    const model = await bundle.get(bundleFiles.model, readBounds.network);
    const found = sha256Hex(model);
    if (found !== config.bundle.modelSha256) {
      throw new TrommelError(
        "corrupt",
        `cannot load ${config.bundle.location}/model.onnx: its sha256 is ${found}, and the scoring began with ${config.bundle.modelSha256}. Score with the new model into another prefix`,
      );
    }
    const parts = context.engine === "tfjs" ? await readParts(bundle, manifest, context.store) : null;
    return { side: manifest.input.side, classCount: manifest.labels.length, model, parts };
  } finally {
    bundle.close();
  }
}

/** What a bundle was made of, for the engine that does not run its graph. The backbones come from the store. */
async function readParts(
  bundle: ObjectStore,
  manifest: BundleManifest,
  store: ObjectStore,
): Promise<NonNullable<ClassifierModel["parts"]>> {
  // The normalisation is the bundle's: its run may have used another one than the backbone was imported with.
  const uses = manifest.backbones.map((spec) => ({
    id: backboneId(spec),
    normalization: spec.normalization,
    precision: manifest.recipe.precision,
  }));
  const read = async (name: string): Promise<Uint8Array> => {
    const bytes = await bundle.get(name, readBounds.network);
    if (sha256Hex(bytes) === manifest.hashes[name]) return bytes;
    throw new TrommelError(
      "corrupt",
      `cannot read ${bundle.url}/${name}: it does not have the sha256 in ${bundleFiles.manifest}. Train again or put the bundle back from a copy`,
    );
  };
  const projection =
    manifest.svd === null
      ? null
      : decodeProjection(await read(bundleFiles.projection), bundleFiles.projection);
  const head = await read(bundleFiles.head);
  return {
    backbones: await loadBackbones(store, uses, true),
    projection,
    novelty:
      manifest.novelty === null ? null : decodeNovelty(await read(bundleFiles.novelty), bundleFiles.novelty),
    flips: servedFlips(manifest.recipe),
    ...(manifest.ensemble === null
      ? { standardization: null, ensemble: single(manifest, head) }
      : {
          standardization: decodeStandardization(
            await read(bundleFiles.standardization),
            bundleFiles.standardization,
          ),
          ensemble: decodeEnsemble(head, bundleFiles.head, manifest.ensemble.head),
        }),
  };
}

/** The head of a bundle that has one, as an ensemble. */
function single({ recipe, run }: BundleManifest, bytes: Uint8Array): Ensemble {
  if (recipe.head.type === "auto")
    throw new TrommelError(
      "corrupt",
      `cannot read the bundle of ${run}: ${bundleFiles.manifest} does not say which heads it has`,
    );
  return { head: recipe.head, heads: [decodeHeadWeights(bytes, bundleFiles.head)], temperature: 1 };
}
