import {
  backboneId,
  backboneKeys,
  readBackboneModel,
  resolveBackbone,
  type Normalization,
  type ObjectStore,
} from "@trommel/common";
import { readBounds } from "@trommel/common/store/read-bounds";
import type { EngineBackbone } from "../backbone/engines/engine.js";

/** A backbone as a run or a bundle uses it. */
export interface BackboneUse {
  /** `name@hash12` */
  readonly id: string;
  /** What its pixels are normalised by, per RGB channel; null leaves what it was imported with. */
  readonly normalization: Normalization | null;
}

/**
 * Backbones with their networks, hashes checked, and the normalisation that they are used with in their specs.
 * @param uses in the recipe's order
 * @param withLayers also reads the layers models, which only the tfjs engine needs
 */
export async function loadBackbones(
  store: ObjectStore,
  uses: readonly BackboneUse[],
  withLayers: boolean,
): Promise<EngineBackbone[]> {
  const backbones: EngineBackbone[] = [];
  for (const { id, normalization } of uses) {
    const spec = await resolveBackbone(store, id);
    const model = await readBackboneModel(store, spec);
    const keys = backboneKeys(backboneId(spec));
    const layers =
      withLayers && spec.source.kind !== "onnx"
        ? {
            modelJson: await store.get(keys.layersModel, readBounds.document),
            weightsBin: await store.get(keys.layersWeights, readBounds.network),
          }
        : null;
    const used = normalization === null ? spec : { ...spec, normalization };
    backbones.push({ spec: used, model, layers });
  }
  return backbones;
}
