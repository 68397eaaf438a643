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
import { streamPictures } from "../image/picture-stream.js";
import type { ClassifierRequest } from "../threads/device-thread.js";
import type { DeviceStageContext, StageOutcome } from "./context.js";
import { loadBackbones } from "./load-backbones.js";
import { PictureBatches, type PictureBatch } from "./picture-batches.js";
import { readScoringConfig, readShard } from "./read-config.js";
import { csvPart, jsonLinesPart, scoreRowOf } from "./score-rows.js";

/** The marker of a score part. */
export const scorePartMarker = markerSchema.extend(shardOutcome.shape);

/** Of a shard, for each batch that the device computes at once: one runs, one waits. */
const batchesPerLane = 2;

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
    await writeWithMarker(output, key, jsonLinesPart(rows), { ok: rows.length, failed });
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
  const failed: FailedRow[] = [];
  const rows: ScoreRow[] = [];
  const running: Promise<ScoreRow[]>[] = [];
  const take = async (): Promise<void> => {
    rows.push(...((await running.shift()) ?? []));
    context.onImages(rows.length + failed.length);
  };
  const submit = (batch: PictureBatch): void => {
    const scored = device
      .classify(modelKey, batch.pixels, batch.positions.length)
      .then((probabilities) =>
        batch.keys.map((key, i) =>
          scoreRowOf(
            key,
            probabilities.subarray(i * classCount, (i + 1) * classCount),
            manifest.labels,
            config.topK,
          ),
        ),
      );
    scored.catch(() => undefined);
    running.push(scored);
  };
  const source = openStore(config.source);
  try {
    const batches = new PictureBatches(side, context.viewsPerBatch);
    for await (const picture of streamPictures({
      entries: shard.entries,
      read: (key, maxBytes, signal) => source.get(key, { maxBytes, signal }),
      decode: { ...decode, side },
      window: 3 * batches.size,
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
      if (running.length >= batchesPerLane * device.laneCount) await take();
    }
    const rest = batches.rest();
    if (rest !== undefined) submit(rest);
    while (running.length > 0) await take();
  } finally {
    await Promise.allSettled(running);
    source.close();
  }
  return { rows, failed };
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
  const ids = manifest.backbones.map((spec) => backboneId(spec));
  const projection =
    manifest.svd === null
      ? null
      : decodeProjection(await bundle.get(bundleFiles.projection), bundleFiles.projection);
  const weights = decodeHeadWeights(await bundle.get(bundleFiles.head), bundleFiles.head);
  return {
    backbones: await loadBackbones(store, ids, true),
    projection,
    head: manifest.recipe.head,
    weights,
  };
}
