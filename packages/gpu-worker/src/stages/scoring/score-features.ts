import {
  featureDimension,
  openStore,
  type BundleManifest,
  type FailedImage,
  type FeatureShard,
  type ScoringConfig,
  type Shard,
} from "@trommel/common";
import { servedEmbedding } from "@trommel/common/artefacts";
import { buildHeadGraph } from "../../graph/head-graph.js";
import { emitEnsemble, emitStandardization } from "../../head/model/ensemble.js";
import { emitNovelty } from "../../measure/novelty/emit-novelty.js";
import type { Classified, FeatureClassifierOptions } from "../../backbone/engines/engine.js";
import type { DeviceStageContext } from "../context.js";
import { servedViews } from "../folding/predict-part.js";
import { readShardFeatures } from "../inputs/features.js";
import { readRunConfig } from "../inputs/run.js";
import { readBundleHeads } from "./bundle-heads.js";
import { modelKeyOf } from "./load-classifier.js";

/** What a model says of the images of a shard, from features that a run has stored. */
interface FeatureScores extends Classified {
  /** Keys of the images with features, in shard order. */
  readonly keys: readonly string[];
  /** As the run that stored the features has them. */
  readonly failed: readonly FailedImage[];
}

/**
 * Scores the stored features of a shard: no picture is read.
 * @throws TrommelError `missing-input` if they are no longer there
 */
export async function scoreFeatures(
  config: ScoringConfig & { readonly featuresOf: NonNullable<ScoringConfig["featuresOf"]> },
  manifest: BundleManifest,
  shard: Shard,
  context: DeviceStageContext,
): Promise<FeatureScores> {
  const { device, store } = context;
  const run = await readRunConfig(store, config.featuresOf.run);
  const { features, failed } = await readShardFeatures(store, run, shard);
  const modelKey = modelKeyOf("heads", config);
  await device.ensureHeads(modelKey, () => loadHeads(config, manifest, featureDimension(run)));
  const without = new Set(failed.map(({ position }) => position));
  const keys = shard.entries.flatMap(({ key }, position) => (without.has(position) ? [] : [key]));
  if (keys.length === 0)
    return {
      keys,
      failed,
      probabilities: new Float32Array(),
      novelty: manifest.novelty && new Float32Array(),
      embeddings: null,
    };
  const rows = viewByView(features, keys.length, servedViews(manifest.recipe));
  return { keys, failed, ...(await device.classifyFeatures(modelKey, rows, keys.length, context.order)) };
}

/** The first views of all images, then their second ones. @returns [views · images, dimension] */
function viewByView({ features, dimension }: FeatureShard, images: number, views: number): Float32Array {
  const stored = features.length / dimension / images;
  // What is moved to the device has memory of its own.
  if (stored === 1 && views === 1 && features.byteLength === features.buffer.byteLength) return features;
  const rows = new Float32Array(views * images * dimension);
  for (let view = 0; view < views; view += 1)
    for (let image = 0; image < images; image += 1) {
      const from = (image * stored + view) * dimension;
      rows.set(features.subarray(from, from + dimension), (view * images + image) * dimension);
    }
  return rows;
}

async function loadHeads(
  { bundle: { location }, embeddings }: ScoringConfig,
  manifest: BundleManifest,
  dimension: number,
): Promise<FeatureClassifierOptions> {
  const bundle = openStore(location);
  try {
    const { projection, standardization, ensemble, novelty, flips } = await readBundleHeads(bundle, manifest);
    const classCount = manifest.labels.length;
    const graph = buildHeadGraph({
      ...{ dimension, projection, classCount, views: 1 + flips.length },
      emitHead: (builder, features) =>
        emitEnsemble(
          builder,
          standardization === null ? features : emitStandardization(builder, features, standardization),
          dimension,
          ensemble,
        ),
      ...(novelty === null || standardization === null
        ? {}
        : {
            emitNovelty: (builder, embeddings) =>
              emitNovelty(builder, emitStandardization(builder, embeddings, standardization), novelty),
          }),
    });
    const embedding = embeddings && servedEmbedding(manifest, embeddings);
    return { classCount, dimension, graph, embedding };
  } finally {
    bundle.close();
  }
}
