import {
  encodeFeatureShard,
  featureDimension,
  featureShardKey,
  featureShardMarker,
  runKeys,
  writeWithMarker,
  type FailedRow,
  type RunConfig,
  type Shard,
} from "@trommel/common";
import { findCommitted } from "@trommel/common/codec/stage-input";
import { drawViews, hasColour } from "../image/view.js";
import type { DeviceStageContext, StageOutcome } from "./context.js";
import { loadBackbones } from "./load-backbones.js";
import type { PictureBatch } from "./picture-batches.js";
import { backbonesOfRun, readRunConfig, readShard, type ResolvedRun } from "./read-config.js";
import { commitOnce } from "./commit-once.js";
import { runBatches } from "./run-batches.js";

/**
 * Extract: shard → feature shard.
 *
 * In: the shard's files. Out: `features/<fingerprint>/<shard hash>.safetensors`, one row per view of every readable
 * image, and its marker with a typed reason for each other one.
 * A retry finds the marker and does nothing, or does the whole shard again and writes the same bytes.
 */
export async function extract(
  runId: string,
  shardIndex: number,
  context: DeviceStageContext,
): Promise<StageOutcome> {
  const { store } = context;
  const config = await readRunConfig(store, runId);
  const shard = await readShard(store, runKeys(runId).shard(shardIndex));
  const key = featureShardKey(config.fingerprint, shard.hash);
  const standing = await findCommitted(store, key, featureShardMarker);
  if (standing !== undefined)
    return { images: standing.ok + standing.failed.length, failed: standing.failed.length };

  await ensureExtractor(config, context);
  const collected = await extractRows(config, shard, context);
  const bytes = encodeFeatureShard(collected.rows, config.recipe.featureType, {
    shard: shard.hash,
    fingerprint: config.fingerprint,
  });
  const { failed, rows } = collected;
  const ok = shard.entries.length - failed.length;
  await commitOnce(() => writeWithMarker(store, key, bytes, { rows: rows.image.length, ok, failed }));
  return { images: shard.entries.length, failed: failed.length };
}

function extractorKey(config: RunConfig): string {
  return `features ${config.fingerprint}`;
}

async function ensureExtractor(config: ResolvedRun, context: DeviceStageContext): Promise<void> {
  await context.device.ensureExtractor(extractorKey(config), async () => ({
    backbones: await loadBackbones(context.store, backbonesOfRun(config), context.engine === "tfjs"),
    side: config.side,
    viewCount: config.recipe.views.count,
    colour: hasColour(config.recipe.views),
  }));
}

interface CollectedRows {
  readonly rows: { dimension: number; features: Float32Array; image: Int32Array; view: Uint8Array };
  readonly failed: FailedRow[];
}

async function extractRows(
  config: RunConfig,
  shard: Shard,
  context: DeviceStageContext,
): Promise<CollectedRows> {
  const { recipe, side } = config;
  const viewCount = recipe.views.count;
  const dimension = featureDimension(config);
  const capacity = shard.entries.length * viewCount;
  const features = new Float32Array(capacity * dimension);
  const image = new Int32Array(capacity);
  const view = new Uint8Array(capacity);
  let rowCount = 0;
  const failed = await runBatches({
    entries: shard.entries,
    source: config.dataset,
    decode: { ...recipe.decode, side },
    batchSize: Math.max(1, Math.round(context.viewsPerBatch / viewCount)),
    context,
    run: async (batch) => {
      // Rows are given out before the first wait, so that they stand in shard order whichever batch ends first.
      const start = rowCount;
      rowCount += batch.positions.length * viewCount;
      for (const [b, position] of batch.positions.entries()) {
        image.fill(position, start + b * viewCount, start + (b + 1) * viewCount);
        for (let v = 0; v < viewCount; v += 1) view[start + b * viewCount + v] = v;
      }
      const rows = await context.device.extract(
        extractorKey(config),
        withViews(config, batch),
        context.order,
      );
      features.set(rows, start * dimension);
    },
  });
  const rows = {
    dimension,
    features: features.subarray(0, rowCount * dimension),
    image: image.subarray(0, rowCount),
    view: view.subarray(0, rowCount),
  };
  return { rows, failed };
}

function withViews(config: RunConfig, batch: PictureBatch) {
  const { views, seed } = config.recipe;
  const affine = new Float32Array(batch.positions.length * views.count * 6);
  const colour = new Float32Array(batch.positions.length * views.count * 12);
  for (const [b, key] of batch.keys.entries()) {
    const drawn = drawViews(views, seed, key);
    affine.set(drawn.affine, b * views.count * 6);
    colour.set(drawn.colour, b * views.count * 12);
  }
  return { pixels: batch.pixels, imageCount: batch.positions.length, affine, colour };
}
