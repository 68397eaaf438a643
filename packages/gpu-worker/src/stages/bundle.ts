import {
  bundleFiles,
  featureShardKey,
  featureShardMarker,
  runKeys,
  sha256Hex,
  TrommelError,
  type Ledger,
  type ObjectStore,
  type RunConfig,
  type Shard,
} from "@trommel/common";
import { errorLines, LedgerBuilder } from "@trommel/common/artefacts";
import type { z } from "zod";
import { buildServingGraph } from "../graph/serving-graph.js";
import { galleryFrom } from "../gallery/gallery.js";
import type { StageContext, StageOutcome } from "./context.js";
import { range } from "@trommel/common/store";
import { checkServing } from "./bundling/check-serving.js";
import { describeBundle } from "./bundling/describe-bundle.js";
import { exportBundle } from "./bundling/export-bundle.js";
import { readTrainedModel } from "./bundling/trained-model.js";
import { readListing, readShard } from "./inputs/listing.js";
import { loadBackbones } from "./inputs/load-backbones.js";
import { backbonesOfRun, readRunConfig } from "./inputs/run.js";
import { readOutcomes, readRetriedImages, readShards, type ShardOutcomes } from "./inputs/shard-outcomes.js";
import { SpilledText } from "./scoring/spilled-text.js";
import { jsonFile, putJson } from "@trommel/common/codec";

/**
 * Bundle: backbones, what was trained → bundle.
 *
 * In: everything that training wrote. Out: the ledger, then the bundle's files, `bundle.json` last; with it the run is
 * complete. The compiled model is held against the features that the head was trained on before anything is written.
 * A retry writes the same bytes again.
 */
export async function bundle(runId: string, context: StageContext): Promise<StageOutcome> {
  const { store, signal, threads } = context;
  const keys = runKeys(runId);
  const config = await readRunConfig(store, runId);
  const ledger = await writeLedger(store, config, signal);
  const trained = await readTrainedModel(store, config, threads);
  const backbones = await loadBackbones(store, backbonesOfRun(config), false);
  const classCount = trained.labels.length;
  const { projection, emitHead, flips, novelty } = trained;
  const { side } = config;
  const model = buildServingGraph({
    ...{ backbones, side, projection, classCount, emitHead, flips },
    emitNovelty: novelty?.emit,
  });
  context.onNote("checking the model against the features");
  const golden = await checkServing({ store, config, model, trained, threads, signal });

  const files: Record<string, Uint8Array> = {
    [bundleFiles.model]: model,
    ...trained.files,
    [bundleFiles.golden]: golden.bytes,
  };
  const hashes = Object.fromEntries(Object.entries(files).map(([name, bytes]) => [name, sha256Hex(bytes)]));
  const manifest = describeBundle({ config, backbones, trained, golden, ledger, hashes });
  const shards = config.from?.type === "archives" ? shardsOf(store, config, signal) : undefined;
  const gallery = await galleryFrom(config.dataset, trained.mistakes, signal, shards);
  files[bundleFiles.report] = Buffer.from(trained.report(manifest, ledger, gallery), "utf8");
  for (const [name, bytes] of Object.entries(files)) {
    signal.throwIfAborted();
    await store.put(`${keys.bundle}/${name}`, bytes);
  }
  await exportBundle(config, files, manifest, signal);
  await putJson(store, `${keys.bundle}/${bundleFiles.manifest}`, jsonFile(manifest));
  return { images: 0, failed: 0 };
}

async function* shardsOf(store: ObjectStore, { id }: RunConfig, signal: AbortSignal): AsyncGenerator<Shard> {
  const keys = runKeys(id);
  const { shards } = await readListing(store, keys.listing);
  yield* readShards({ readShard: (index) => readShard(store, keys.shard(index)), signal }, range(0, shards));
}

/**
 * Adds up the run's ledger from the shards' markers.
 * @throws TrommelError `missing-input`, `corrupt` where it does not balance
 */
async function writeLedger(store: ObjectStore, config: RunConfig, signal: AbortSignal): Promise<Ledger> {
  const keys = runKeys(config.id);
  const { shards, listed, retriedFrom = shards } = await readListing(store, keys.listing);
  const span = { shards, listed, retriedFrom };
  const outcomes: ShardOutcomes = {
    readShard: (index) => readShard(store, keys.shard(index)),
    outcomeOf: ({ hash }) => ({ store, key: featureShardKey(config.fingerprint, hash) }),
    signal,
  };
  const builder = new LedgerBuilder(await readRetriedImages(outcomes, span));
  const lines = new SpilledText();
  try {
    for await (const { shard, marker } of readOutcomes(outcomes, range(0, shards), featureShardMarker)) {
      checkRowCount(marker, config);
      await lines.write(errorLines(shard, builder.add(shard, marker)));
    }
    await builder.requireDistinct(() => readShards(outcomes, range(0, shards)));
    const ledger = builder.ledger(span);
    await store.putStream(keys.failedImages, lines.chunks(), { contentType: "application/jsonl" });
    await putJson(store, keys.ledger, jsonFile(ledger));
    return ledger;
  } finally {
    await lines.close();
  }
}

/** Every picture that could be read has a row for each of its views. */
function checkRowCount(marker: z.infer<typeof featureShardMarker>, { recipe }: RunConfig): void {
  if (marker.rows === marker.ok * recipe.views.count) return;
  throw new TrommelError(
    "corrupt",
    `cannot balance ${marker.key}: its marker says ${marker.rows} rows, and ${marker.ok} pictures of ${recipe.views.count} views each. Remove both and resume`,
    { context: { key: marker.key } },
  );
}
