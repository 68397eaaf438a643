import { backboneId, backboneKeys, TrommelError, type BackboneSpec, type ObjectStore } from "@trommel/common";
import { trainedLayers } from "@trommel/common/artefacts";
import { readBounds } from "@trommel/common/store";
import { cutAt, type CutLayers } from "../../backbone/layers/cut-layers.js";
import { readLayersModel } from "../../backbone/layers/layers-model.js";
import type { TuningSetting } from "../../tuning/engine/tuner.js";
import { specInUse, type TuningRun } from "./tuning-run.js";

/** The layers of a backbone of the store. @throws TrommelError `unsupported` if it has none */
async function readLayers(store: ObjectStore, spec: BackboneSpec): Promise<CutLayers> {
  const id = backboneId(spec);
  const { layersModel, layersWeights } = backboneKeys(id);
  if (spec.source.kind === "onnx" || spec.source.kind === "int8")
    throw new TrommelError(
      "unsupported",
      `cannot tune the backbone ${id}: it was imported from ${spec.source.kind} and has no layers. Tune one that was imported as a layers model or with --architecture`,
    );
  const model = await readLayersModel(await store.get(layersModel, readBounds.document), () =>
    store.get(layersWeights, readBounds.network),
  );
  return cutAt(model);
}

/**
 * What a run's tuner is made of.
 * @throws TrommelError `not-found`, `invalid-argument` for blocks that the network does not have; `unsupported` for a backbone without
 *   layers
 */
export async function tuningSetting(
  store: ObjectStore,
  run: TuningRun,
  threads: number,
): Promise<TuningSetting> {
  const { tune, untuned, spec, classNames } = run;
  const cut = await readLayers(store, spec);
  const { brightness, contrast, saturation } = untuned.recipe.views;
  return {
    cut,
    contract: specInUse(run),
    side: untuned.side,
    colour: brightness > 0 || contrast > 0 || saturation > 0,
    // The layers of a stored backbone end with its pooling.
    pooling: "average",
    classCount: classNames.length,
    batchSize: tune.batchSize,
    ...trainedLayers(
      cut.layers.map((layer) => ({ ...layer, hasWeights: layer.weights.size > 0 })),
      tune,
    ),
    norm: tune.norm,
    statisticsMomentum: tune.statisticsMomentum,
    optimizer: tune.optimizer,
    clipNorm: tune.clipNorm,
    averageDecay: tune.averageDecay,
    hasDropout: tune.dropout > 0,
    hasMixup: tune.mixup > 0,
    threads,
  };
}
