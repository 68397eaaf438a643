import {
  backboneId,
  backboneKeys,
  readBackboneModel,
  resolveBackbone,
  type ObjectStore,
} from "@trommel/common";
import type { EngineBackbone } from "../backbone/engines/engine.js";

/**
 * The backbones of a run with their networks, hashes checked.
 * @param ids `name@hash12`, in the recipe's order
 * @param withLayers also reads the layers models, which only the tfjs engine needs
 */
export async function loadBackbones(
  store: ObjectStore,
  ids: readonly string[],
  withLayers: boolean,
): Promise<EngineBackbone[]> {
  const backbones: EngineBackbone[] = [];
  for (const id of ids) {
    const spec = await resolveBackbone(store, id);
    const model = await readBackboneModel(store, spec);
    const keys = backboneKeys(backboneId(spec));
    const layers =
      withLayers && spec.source.kind !== "onnx"
        ? { modelJson: await store.get(keys.layersModel), weightsBin: await store.get(keys.layersWeights) }
        : null;
    backbones.push({ spec, model, layers });
  }
  return backbones;
}
