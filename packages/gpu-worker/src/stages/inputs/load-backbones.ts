import {
  backboneId,
  backboneKeys,
  readBackboneModel,
  resolveBackbone,
  TrommelError,
  type BackboneSpec,
  type Normalization,
  type ObjectStore,
  type Recipe,
} from "@trommel/common";
import { readBounds } from "@trommel/common/store";
import type { EngineBackbone } from "../../backbone/engines/engine.js";
import { toHalfPrecision } from "../../graph/half-precision.js";
import { decodeModel, encodeModel } from "../../graph/onnx/onnx-model.js";

/** A backbone as a run or a bundle uses it. */
export interface BackboneUse {
  /** `name@hash12` */
  readonly id: string;
  /** What its pixels are normalised by, per RGB channel; null leaves what it was imported with. */
  readonly normalization: Normalization | null;
  readonly precision: Recipe["precision"];
}

/**
 * Backbones with their networks, hashes checked, in the precision that they are used in, and with the normalisation that
 * they are used with in their specs.
 * @param uses in the recipe's order
 * @param withLayers also reads the layers models, which only the tfjs engine needs
 * @throws TrommelError `unsupported` where a network cannot be used in that precision
 */
export async function loadBackbones(
  store: ObjectStore,
  uses: readonly BackboneUse[],
  withLayers: boolean,
): Promise<EngineBackbone[]> {
  const backbones: EngineBackbone[] = [];
  for (const { id, normalization, precision } of uses) {
    const spec = await resolveBackbone(store, id);
    const model = await readInPrecision(store, spec, precision);
    if (withLayers && precision !== "fp32") throw onlyOnnx(precision);
    const keys = backboneKeys(backboneId(spec));
    const layers =
      withLayers && spec.source.kind !== "onnx" && spec.source.kind !== "int8"
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

async function readInPrecision(
  store: ObjectStore,
  spec: BackboneSpec,
  precision: BackboneUse["precision"],
): Promise<Uint8Array> {
  const model = await readBackboneModel(store, spec);
  if (precision === "fp32") return model;
  const name = `the backbone ${backboneId(spec)}`;
  return encodeModel(toHalfPrecision(decodeModel(model, { name }), name));
}

function onlyOnnx(precision: BackboneUse["precision"]): TrommelError {
  return new TrommelError(
    "unsupported",
    `cannot use precision: ${precision} with the tfjs engine: it computes in fp32 alone. Use --engine onnx`,
  );
}
