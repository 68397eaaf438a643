import {
  encodeFeatureShard,
  featureShardKey,
  featureShardMarker,
  findMarker,
  openStore,
  runKeys,
  writeWithMarker,
  type FailedRow,
  type RunConfig,
  type Shard,
} from "@trommel/common";
import { streamPictures } from "../image/picture-stream.js";
import { drawViews, hasColour } from "../image/view.js";
import type { DeviceStageContext, StageOutcome } from "./context.js";
import { loadBackbones } from "./load-backbones.js";
import { PictureBatches, type PictureBatch } from "./picture-batches.js";
import { readRunConfig, readShard } from "./read-config.js";

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
  const standing = await findMarker(store, key, featureShardMarker);
  if (standing !== undefined)
    return { images: standing.ok + standing.failed.length, failed: standing.failed.length };

  await ensureExtractor(config, context);
  const collected = await extractRows(config, shard, context);
  const bytes = encodeFeatureShard(collected.rows, config.recipe.featureType, {
    shard: shard.hash,
    fingerprint: config.fingerprint,
  });
  await writeWithMarker(store, key, bytes, {
    rows: collected.rows.image.length,
    ok: shard.entries.length - collected.failed.length,
    failed: collected.failed,
  });
  return { images: shard.entries.length, failed: collected.failed.length };
}

function extractorKey(config: RunConfig): string {
  return `features ${config.fingerprint}`;
}

async function ensureExtractor(config: RunConfig, context: DeviceStageContext): Promise<void> {
  await context.device.ensureExtractor(extractorKey(config), async () => ({
    backbones: await loadBackbones(
      context.store,
      config.backbones.map(({ id }) => id),
      context.engine === "tfjs",
    ),
    side: config.side,
    viewCount: config.recipe.views.count,
    colour: hasColour(config.recipe.views),
  }));
}

interface CollectedRows {
  readonly rows: { dimension: number; features: Float32Array; image: Int32Array; view: Uint8Array };
  readonly failed: FailedRow[];
}

/** Of a shard, for each batch that the device computes at once: one runs, one waits. */
const batchesPerLane = 2;

async function extractRows(
  config: RunConfig,
  shard: Shard,
  context: DeviceStageContext,
): Promise<CollectedRows> {
  const { recipe, side } = config;
  const viewCount = recipe.views.count;
  const dimension = config.backbones.reduce((sum, backbone) => sum + backbone.dimension, 0);
  const capacity = shard.entries.length * viewCount;
  const features = new Float32Array(capacity * dimension);
  const image = new Int32Array(capacity);
  const view = new Uint8Array(capacity);
  const failed: FailedRow[] = [];
  let rowCount = 0;
  let seen = 0;

  const source = openStore(config.dataset);
  const running: Promise<void>[] = [];
  const submit = (batch: PictureBatch): void => {
    const start = rowCount;
    rowCount += batch.positions.length * viewCount;
    for (const [b, position] of batch.positions.entries()) {
      image.fill(position, start + b * viewCount, start + (b + 1) * viewCount);
      for (let v = 0; v < viewCount; v += 1) view[start + b * viewCount + v] = v;
    }
    const result = context.device.extract(extractorKey(config), withViews(config, batch)).then((rows) => {
      features.set(rows, start * dimension);
      context.onImages((seen += batch.positions.length));
    });
    result.catch(() => undefined);
    running.push(result);
  };
  try {
    const batches = new PictureBatches(side, Math.max(1, Math.round(context.viewsPerBatch / viewCount)));
    for await (const picture of streamPictures({
      entries: shard.entries,
      read: (fileKey, maxBytes, signal) => source.get(fileKey, { maxBytes, signal }),
      decode: { ...recipe.decode, side },
      window: 4 * batches.size,
      signal: context.signal,
    })) {
      if (!picture.ok) {
        failed.push({
          position: picture.position,
          key: picture.key,
          reason: picture.reason,
          detail: picture.detail,
        });
        continue;
      }
      const full = batches.add(picture);
      if (full === undefined) continue;
      submit(full);
      if (running.length >= batchesPerLane * context.device.laneCount) await running.shift();
    }
    const rest = batches.rest();
    if (rest !== undefined) submit(rest);
    await Promise.all(running);
  } finally {
    await Promise.allSettled(running);
    source.close();
  }
  return {
    rows: {
      dimension,
      features: features.subarray(0, rowCount * dimension),
      image: image.subarray(0, rowCount),
      view: view.subarray(0, rowCount),
    },
    failed,
  };
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
