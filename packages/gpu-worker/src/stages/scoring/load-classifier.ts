import {
  backboneId,
  bundleFiles,
  openStore,
  sha256Hex,
  TrommelError,
  type BundleManifest,
  type ObjectStore,
  type ScoringConfig,
} from "@trommel/common";
import { readBounds } from "@trommel/common/store";
import { servedEmbedding } from "@trommel/common/artefacts";
import type { ClassifierModel, DeviceStageContext } from "../context.js";
import { loadBackbones } from "../inputs/load-backbones.js";
import { readBundleHeads } from "./bundle-heads.js";

/** What of a scoring says what its model is, and what that gives. */
type ModelOf = Pick<ScoringConfig, "bundle" | "embeddings">;

/** The name of a loaded model: what it gives besides its answers is part of it. */
export function modelKeyOf(kind: "model" | "heads", { bundle, embeddings }: ModelOf): string {
  const vector = embeddings === undefined ? "" : ` with ${embeddings.vector} embeddings`;
  return `${kind} ${bundle.modelSha256}${vector}`;
}

/** The model of a scoring's bundle, as the device takes it. */
export async function loadClassifier(
  config: ModelOf,
  manifest: BundleManifest,
  context: Pick<DeviceStageContext, "engine" | "store">,
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
    const embedding = config.embeddings && servedEmbedding(manifest, config.embeddings);
    return { side: manifest.input.side, classCount: manifest.labels.length, model, parts, embedding };
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
  const heads = await readBundleHeads(bundle, manifest);
  return { backbones: await loadBackbones(store, uses, true), ...heads };
}
