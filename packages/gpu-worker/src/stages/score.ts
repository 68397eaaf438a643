import {
  backboneId,
  bundleFiles,
  bundleManifest,
  decodeHeadWeights,
  decodeProjection,
  findMarker,
  markerSchema,
  openStore,
  outputKeys,
  parseJsonAs,
  scoringKeys,
  sha256Hex,
  shardOutcome,
  TrommelError,
  writeWithMarker,
  type BundleManifest,
  type FailedRow,
  type ObjectStore,
  type ScoreRow,
  type ScoringConfig,
  type Shard,
} from "@trommel/common";
import type { ClassifierRequest } from "../threads/device-thread.js";
import type { DeviceStageContext, StageOutcome } from "./context.js";
import { loadBackbones } from "./load-backbones.js";
import { readScoringConfig, readShard } from "./read-config.js";
import { commitOnce } from "./commit-once.js";
import { runBatches } from "./run-batches.js";
import { csvPart, jsonLinesPart, scoreRowOf } from "./score-rows.js";

/** The marker of a score part. */
export const scorePartMarker = markerSchema.extend(shardOutcome.shape);

/**
 * Score: shard, bundle → score part.
 *
 * In: the shard's files and the bundle's model.onnx. Out: `part-<n>.jsonl` (and `.csv`) under the output prefix, rows in
 * shard order, and the marker with a typed reason for each file that has no row.
 * A retry finds the marker, or scores again and writes the same bytes. The marker of the JSON lines is written last.
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
    const standing = await findMarker(output, key, scorePartMarker);
    if (standing !== undefined)
      return { images: standing.ok + standing.failed.length, failed: standing.failed.length };
    const shard = await readShard(context.store, scoringKeys(scoringId).shard(shardIndex));
    const manifest = await readManifest(config);
    const { rows, failed } = await scoreShard(config, manifest, shard, context);
    if (config.formats.includes("csv")) {
      await output.put(outputKeys.part(shardIndex, "csv"), csvPart(rows, config.topK), {
        contentType: "text/csv",
      });
    }
    await commitOnce(() => writeWithMarker(output, key, jsonLinesPart(rows), { ok: rows.length, failed }));
    return { images: shard.entries.length, failed: failed.length };
  } finally {
    output.close();
  }
}

async function readManifest(config: ScoringConfig): Promise<BundleManifest> {
  const bundle = openStore(config.bundle.location);
  try {
    return parseJsonAs(
      bundleManifest,
      await bundle.get(bundleFiles.manifest),
      `${config.bundle.location}/bundle.json`,
    );
  } finally {
    bundle.close();
  }
}

async function scoreShard(
  config: ScoringConfig,
  manifest: BundleManifest,
  shard: Shard,
  context: DeviceStageContext,
): Promise<{ rows: ScoreRow[]; failed: FailedRow[] }> {
  const { device } = context;
  const modelKey = `model ${config.bundle.modelSha256}`;
  await device.ensureClassifier(modelKey, () => loadClassifier(config, manifest, context));
  const { side, decode } = manifest.input;
  const classCount = manifest.labels.length;
  const scored: ScoreRow[][] = [];
  const failed = await runBatches({
    entries: shard.entries,
    source: config.source,
    decode: { ...decode, side },
    batchSize: context.viewsPerBatch,
    context,
    run: async (batch) => {
      // The place is taken before the first wait, so that rows stand in shard order whichever batch ends first.
      const place = scored.push([]) - 1;
      const probabilities = await device.classify(modelKey, batch.pixels, batch.positions.length);
      scored[place] = batch.keys.map((key, i) => {
        const row = probabilities.subarray(i * classCount, (i + 1) * classCount);
        return scoreRowOf(key, row, manifest.labels, config.topK);
      });
    },
  });
  return { rows: scored.flat(), failed };
}

async function loadClassifier(
  config: ScoringConfig,
  manifest: BundleManifest,
  context: DeviceStageContext,
): Promise<Omit<ClassifierRequest, "key">> {
  const bundle = openStore(config.bundle.location);
  try {
    const model = await bundle.get(bundleFiles.model);
    const found = sha256Hex(model);
    if (found !== config.bundle.modelSha256) {
      throw new TrommelError(
        "corrupt",
        `failed to load ${config.bundle.location}/model.onnx: its sha256 is ${found}, and ${config.bundle.modelSha256} was asked for. Score with the new model into another prefix`,
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
): Promise<NonNullable<ClassifierRequest["parts"]>> {
  // The normalisation is the bundle's: its run may have used another one than the backbone was imported with.
  const uses = manifest.backbones.map((spec) => ({
    id: backboneId(spec),
    normalization: spec.normalization,
  }));
  const projection =
    manifest.svd === null
      ? null
      : decodeProjection(await bundle.get(bundleFiles.projection), bundleFiles.projection);
  const weights = decodeHeadWeights(await bundle.get(bundleFiles.head), bundleFiles.head);
  return {
    backbones: await loadBackbones(store, uses, true),
    projection,
    head: manifest.recipe.head,
    weights,
  };
}
