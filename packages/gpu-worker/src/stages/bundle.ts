import {
  bundleFiles,
  encodeProjection,
  featureShardKey,
  featureShardMarker,
  runKeys,
  sha256Hex,
  TrommelError,
  type Ledger,
  type ObjectStore,
  type RunConfig,
} from "@trommel/common";
import { errorLines, LedgerBuilder } from "@trommel/common/artefacts";
import type { z } from "zod";
import { buildServingGraph } from "../graph/serving-graph.js";
import { emitHead } from "../head/model/head-to-onnx.js";
import { renderReport } from "../report/report-html.js";
import { trainingChartPng } from "../report/training-chart.js";
import type { StageContext, StageOutcome } from "./context.js";
import { checkServing } from "./bundling/check-serving.js";
import { describeBundle } from "./bundling/describe-bundle.js";
import { exportBundle } from "./bundling/export-bundle.js";
import { readListing } from "./inputs/listing.js";
import { loadBackbones } from "./inputs/load-backbones.js";
import { readProjection } from "./inputs/projection.js";
import { backbonesOfRun, readRunConfig } from "./inputs/run.js";
import { readOutcomes, readRetriedImages, type ShardOutcomes } from "./inputs/shard-outcomes.js";
import { readTrained } from "./inputs/trained-head.js";
import { SpilledText } from "./scoring/spilled-text.js";
import { jsonFile, putJson } from "@trommel/common/codec";

/**
 * Bundle: backbones, projection, head → bundle.
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
  const projection = await readProjection(store, config);
  const { weights, weightBytes, metrics, metricsBytes, marker: trained } = await readTrained(store, runId);
  const backbones = await loadBackbones(store, backbonesOfRun(config), false);
  const classCount = trained.labels.length;
  const model = buildServingGraph({
    backbones,
    side: config.side,
    projection,
    classCount,
    emitHead: (builder, input) => emitHead(builder, input, weights, config.recipe.head),
  });
  context.onNote("checking the model against the features");
  await checkServing({ store, config, model, classCount, projection, weights, threads, signal });

  const files: Record<string, Uint8Array> = {
    [bundleFiles.model]: model,
    [bundleFiles.metrics]: metricsBytes,
    [bundleFiles.lossCurves]: await trainingChartPng(metrics),
    [bundleFiles.head]: weightBytes,
    ...(projection === null ? {} : { [bundleFiles.projection]: encodeProjection(projection) }),
  };
  const hashes = Object.fromEntries(Object.entries(files).map(([name, bytes]) => [name, sha256Hex(bytes)]));
  const manifest = describeBundle({ config, backbones, projection, metrics, trained, ledger, hashes });
  files[bundleFiles.report] = Buffer.from(renderReport({ manifest, metrics, ledger }), "utf8");
  for (const [name, bytes] of Object.entries(files)) {
    signal.throwIfAborted();
    await store.put(`${keys.bundle}/${name}`, bytes);
  }
  await exportBundle(config, files, manifest, signal);
  await putJson(store, `${keys.bundle}/${bundleFiles.manifest}`, jsonFile(manifest));
  return { images: 0, failed: 0 };
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
    store,
    shardKey: keys.shard,
    outcomeOf: ({ hash }) => ({ store, key: featureShardKey(config.fingerprint, hash) }),
    signal,
  };
  const builder = new LedgerBuilder(await readRetriedImages(outcomes, span));
  const lines = new SpilledText();
  try {
    const all = { start: 0, end: shards };
    for await (const { shard, marker } of readOutcomes(outcomes, all, featureShardMarker)) {
      checkRowCount(marker, config);
      await lines.write(errorLines(shard, builder.add(shard, marker)));
    }
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
