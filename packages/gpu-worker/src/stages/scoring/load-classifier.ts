import {
  backboneId,
  bundleFiles,
  decodeHeadWeights,
  decodeNovelty,
  decodeProjection,
  openStore,
  sha256Hex,
  TrommelError,
  type BundleManifest,
  type ObjectStore,
  type ScoringConfig,
} from "@trommel/common";
import { decodeStandardization } from "@trommel/common/artefacts";
import { servedFlips } from "@trommel/common/recipe";
import { readBounds } from "@trommel/common/store";
import { decodeEnsemble, type Ensemble } from "../../head/model/ensemble.js";
import type { ClassifierModel, DeviceStageContext } from "../context.js";
import { loadBackbones } from "../inputs/load-backbones.js";

/** The model of a scoring's bundle, as the device takes it. */
export async function loadClassifier(
  config: ScoringConfig,
  manifest: BundleManifest,
  context: DeviceStageContext,
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
): Promise<NonNullable<ClassifierModel["parts"]>> {
  // The normalisation is the bundle's: its run may have used another one than the backbone was imported with.
  const uses = manifest.backbones.map((spec) => ({
    id: backboneId(spec),
    normalization: spec.normalization,
    precision: manifest.recipe.precision,
  }));
  const read = async (name: string): Promise<Uint8Array> => {
    const bytes = await bundle.get(name, readBounds.network);
    if (sha256Hex(bytes) === manifest.hashes[name]) return bytes;
    throw new TrommelError(
      "corrupt",
      `cannot read ${bundle.url}/${name}: it does not have the sha256 in ${bundleFiles.manifest}. Train again or put the bundle back from a copy`,
    );
  };
  const projection =
    manifest.svd === null
      ? null
      : decodeProjection(await read(bundleFiles.projection), bundleFiles.projection);
  const head = await read(bundleFiles.head);
  return {
    backbones: await loadBackbones(store, uses, true),
    projection,
    novelty:
      manifest.novelty === null ? null : decodeNovelty(await read(bundleFiles.novelty), bundleFiles.novelty),
    flips: servedFlips(manifest.recipe),
    ...(manifest.ensemble === null
      ? { standardization: null, ensemble: single(manifest, head) }
      : {
          standardization: decodeStandardization(
            await read(bundleFiles.standardization),
            bundleFiles.standardization,
          ),
          ensemble: decodeEnsemble(head, bundleFiles.head, manifest.ensemble.head),
        }),
  };
}

/** The head of a bundle that has one, as an ensemble. */
function single({ recipe, run }: BundleManifest, bytes: Uint8Array): Ensemble {
  if (recipe.head.type === "auto")
    throw new TrommelError(
      "corrupt",
      `cannot read the bundle of ${run}: ${bundleFiles.manifest} does not say which heads it has`,
    );
  return { head: recipe.head, heads: [decodeHeadWeights(bytes, bundleFiles.head)], temperature: 1 };
}
