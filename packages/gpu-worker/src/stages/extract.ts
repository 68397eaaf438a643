import {
  encodeFeatureShard,
  featureDimension,
  featureShardKey,
  featureShardMarker,
  runKeys,
  writeWithMarker,
  type FailedImage,
  type FeatureShard,
  type RunConfig,
  type Shard,
} from "@trommel/common";
import { findCommitted } from "@trommel/common/codec";
import { ShardViews } from "../image/views/shard-views.js";
import { hasColour } from "../image/views/view.js";
import { checkOrigin } from "./reuse/check-origin.js";
import { MadeElsewhere, type DeviceStageContext, type StageOutcome } from "./context.js";
import { ReusedFeatures } from "./reuse/reused-features.js";
import { loadBackbones } from "./inputs/load-backbones.js";
import type { ImageBatch } from "./images/image-batches.js";
import { readShard } from "./inputs/listing.js";
import { backbonesOfRun, readRunConfig, type ResolvedRun } from "./inputs/run.js";
import { commitOnce } from "./inputs/commit-once.js";
import { countReasons } from "./images/count-reasons.js";
import { runBatches } from "./images/run-batches.js";
import { ShardFeatures } from "./images/shard-features.js";
import { failedBefore, refuseLost } from "./tuning/frozen-images.js";
import { unlessAborted } from "@trommel/common/waiting";

/**
 * Extract: shard → feature shard.
 *
 * In: the shard's files, and the rows that other shards of the fingerprint have of the same images. Out:
 * `features/<fingerprint>/<shard hash>.safetensors`, one row per view of every readable image, and its marker with a
 * typed reason for each other one. Rows are the same whether they were copied or computed.
 * A run that tunes its backbone has the failed images of the run without tuning, and fails where another one cannot be read.
 * A retry finds the marker and does nothing, or does the whole shard again and writes the same bytes.
 * @throws MadeElsewhere where a job of another run is at the same feature shard
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
  const existing = await findCommitted(store, key, featureShardMarker);
  if (existing !== undefined) {
    await checkOrigin(config, shard, existing, context);
    const { ok, failed } = existing;
    return { images: ok + failed.length, failed: failed.length, reused: ok };
  }
  if (!(await context.claimFeature(key))) throw new MadeElsewhere(key);
  const index = context.featureIndexes.of(config.fingerprint);
  await unlessAborted(context.signal, index.lookAround(runId));
  const views = new ShardViews(config.recipe, shard.entries);
  const known = new ReusedFeatures({ store, index, config, shard, views });
  await known.matchListed();
  const { rows, failed, reused } = await extractRows({ config, shard, views, context }, known);
  const bytes = encodeFeatureShard(rows, config.recipe.featureType, {
    shard: shard.hash,
    fingerprint: config.fingerprint,
  });
  const ok = shard.entries.length - failed.length;
  const identities = known.identitiesWithout(failed);
  const images = identities.pack();
  await commitOnce(() => writeWithMarker(store, key, bytes, { rows: rows.image.length, ok, failed, images }));
  index.add(shard.hash, identities);
  return { images: shard.entries.length, failed: failed.length, reasons: countReasons(failed), reused };
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
    identityFirst: true,
  }));
}

interface CollectedRows {
  readonly rows: FeatureShard;
  readonly failed: readonly FailedImage[];
  /** Images whose rows were copied. */
  readonly reused: number;
}

interface ShardWork {
  readonly config: ResolvedRun;
  readonly shard: Shard;
  readonly views: ShardViews;
  readonly context: DeviceStageContext;
}

async function extractRows(work: ShardWork, known: ReusedFeatures): Promise<CollectedRows> {
  const { config, shard } = work;
  const rows = new ShardFeatures(shard.entries.length, config.recipe.views.count, featureDimension(config));
  const before = await failedBefore(work.context.store, config, shard);
  const done = new Set([...known.positions, ...(before ?? []).map(({ position }) => position)]);
  const failed = await computeRows(work, rows, done, (position, bytes) =>
    known.matchContent(position, bytes),
  );
  const lost = new Set(await known.copyInto(rows));
  const reused = known.positions.size;
  if (lost.size > 0) {
    const rest = new Set([...shard.entries.keys()].filter((position) => !lost.has(position)));
    const again = await computeRows(work, rows, rest, async (position, bytes) => {
      await known.identify(position, bytes);
      return false;
    });
    failed.push(...again);
    failed.sort((a, b) => a.position - b.position);
  }
  if (before !== undefined) {
    refuseLost(config, failed);
    failed.push(...before);
  }
  return { rows: rows.without(failed), failed, reused };
}

/** Runs the files of a shard through the device, but those that are left out or recognised. @returns those that failed */
async function computeRows(
  { config, shard, views, context }: ShardWork,
  rows: ShardFeatures,
  skip: ReadonlySet<number>,
  recognise: (position: number, bytes: Uint8Array) => Promise<boolean>,
): Promise<FailedImage[]> {
  if (skip.size === shard.entries.length) return [];
  const { recipe, side } = config;
  const { viewCount } = rows;
  // Load the model lazily: if every row is reused it is never needed.
  let ready: Promise<void> | undefined;
  return runBatches({
    entries: shard.entries,
    source: config.dataset,
    decode: { ...recipe.decode, side },
    batchSize: Math.max(1, Math.round(context.viewsPerBatch / viewCount)),
    context,
    skip,
    recognise,
    run: async (batch) => {
      await (ready ??= ensureExtractor(config, context));
      const computed = await context.device.extract(
        extractorKey(config),
        withViews(views, viewCount, batch),
        context.order,
      );
      rows.setBatch(batch.positions, computed);
    },
  });
}

function withViews(views: ShardViews, viewCount: number, batch: ImageBatch) {
  const affine = new Float32Array(batch.positions.length * viewCount * 6);
  const colour = new Float32Array(batch.positions.length * viewCount * 12);
  for (const [b, position] of batch.positions.entries()) {
    const drawn = views.of(position);
    affine.set(drawn.affine, b * viewCount * 6);
    colour.set(drawn.colour, b * viewCount * 12);
  }
  return { pixels: batch.pixels, imageCount: batch.positions.length, affine, colour };
}
