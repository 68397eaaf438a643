import {
  canonicalJson,
  decodeProjection,
  encodeHeadWeights,
  findMarker,
  readWithMarker,
  runKeys,
  writeWithMarker,
  type Metrics,
  type ObjectStore,
  type Projection,
  type RunConfig,
} from "@trommel/common";
import { evaluate } from "../head/evaluate.js";
import { predictProbabilities } from "../head/predict-head.js";
import { trainHead } from "../head/train-head.js";
import type { StageContext, StageOutcome } from "./context.js";
import { readRunConfig } from "./read-config.js";
import { readLabelledRows } from "./training-rows.js";

/**
 * Train: feature shards, labels, projection → head, metrics.
 *
 * In: every feature shard, the split and the projection. Out: `head/weights.safetensors`, `head/metrics.json`.
 * A retry finds both markers, or trains again from the same seed to the same bytes.
 */
export async function train(runId: string, context: StageContext): Promise<StageOutcome> {
  const { store, signal } = context;
  const keys = runKeys(runId);
  if ((await findMarker(store, keys.metrics)) !== undefined) return { images: 0, failed: 0 };
  const config = await readRunConfig(store, runId);
  const projection = await readProjection(store, config);
  const rows = await readLabelledRows({ store, config, projection, threads: context.threads, signal });
  const { head, training, seed } = config.recipe;
  const trained = await trainHead({
    features: rows.train.features,
    labels: rows.train.labels,
    validationFeatures: rows.validation.features,
    validationLabels: rows.validation.labels,
    classCount: rows.labels.length,
    head,
    training,
    seed,
    signal,
    onEpoch: (record) => {
      context.onUnits(record.epoch, training.epochs);
      context.onNote(
        `validation accuracy ${record.validationAccuracy.toFixed(4)}, loss ${record.validationLoss.toFixed(4)}`,
      );
    },
  });
  const validationRows = rows.validation.labels.length;
  const probabilities = predictProbabilities(head, trained.weights, rows.validation.features, validationRows);
  const metrics: Metrics = {
    ...evaluate(probabilities, rows.validation.labels, rows.labels),
    bestEpoch: trained.bestEpoch,
    history: [...trained.history],
  };
  await writeWithMarker(store, keys.head, encodeHeadWeights(trained.weights, { head: canonicalJson(head) }));
  const body = Buffer.from(canonicalJson(metrics), "utf8");
  await writeWithMarker(store, keys.metrics, body, {
    labels: rows.labels,
    counts: rows.counts,
    trainRows: rows.train.labels.length,
  });
  return { images: 0, failed: 0 };
}

/** The run's projection; null where the recipe has no SVD. */
export async function readProjection(store: ObjectStore, config: RunConfig): Promise<Projection | null> {
  if (config.recipe.svd === null) return null;
  const key = runKeys(config.id).projection;
  const { bytes } = await readWithMarker(store, key);
  return decodeProjection(bytes, key);
}
