import {
  backboneId,
  backboneKeys,
  TrommelError,
  type BackboneSpec,
  type ObjectStore,
  type ViewsRecipe,
} from "@trommel/common";
import { trainedLayers } from "@trommel/common/artefacts";
import type { TuneRecipe } from "@trommel/common/recipe";
import { readBounds } from "@trommel/common/store";
import { cutAt, type CutLayers } from "../../backbone/layers/cut-layers.js";
import { readLayersModel } from "../../backbone/layers/layers-model.js";
import { withGate } from "../../tuning/layers/gate.js";
import type { TuningSetting } from "../../tuning/engine/tuner.js";
import { specInUse, type TuningRun } from "./tuning-run.js";

/** The layers of a backbone of the store. @throws TrommelError `unsupported` if it has none */
async function readLayers(store: ObjectStore, spec: BackboneSpec): Promise<CutLayers> {
  const id = backboneId(spec);
  const { layersModel, layersWeights } = backboneKeys(id);
  if (spec.source.kind === "onnx" || spec.source.kind === "int8")
    throw new TrommelError(
      "unsupported",
      `cannot tune the backbone ${id}: it was imported from ${spec.source.kind} and has no layers. Tune one that was imported as a layers model or with --arch`,
    );
  const model = await readLayersModel(await store.get(layersModel, readBounds.document), () =>
    store.get(layersWeights, readBounds.network),
  );
  return cutAt(model);
}

/** What decides how a network is tuned. */
interface TunedNetwork extends Pick<TuningSetting, "contract" | "side" | "colour" | "classCount"> {
  readonly tune: TuneRecipe;
  /** The backbone in the store. */
  readonly spec: BackboneSpec;
  /** Decides the first weights of a gate. */
  readonly seed: number;
}

export function changesColour({ brightness, contrast, saturation }: ViewsRecipe): boolean {
  return brightness > 0 || contrast > 0 || saturation > 0;
}

/** What a run's tuner is made of. @throws as {@link networkSetting} does */
export async function tuningSetting(
  store: ObjectStore,
  run: TuningRun,
  threads: number,
): Promise<TuningSetting> {
  const { tune, untuned, spec, classNames } = run;
  const { side, recipe } = untuned;
  const network = { tune, spec, contract: specInUse(run), side, classCount: classNames.length };
  const { views, seed } = recipe;
  return networkSetting(store, { ...network, colour: changesColour(views), seed }, threads);
}

/**
 * What a tuner is made of.
 * @throws TrommelError `not-found`, `invalid-argument` for blocks that the network does not have; `unsupported` for a backbone without
 *   layers
 */
export async function networkSetting(
  store: ObjectStore,
  { tune, spec, contract, side, colour, classCount, seed }: TunedNetwork,
  threads: number,
): Promise<TuningSetting> {
  const own = await readLayers(store, spec);
  const { trained, rateFactors } = trainedLayers(
    own.layers.map((layer) => ({ ...layer, hasWeights: layer.weights.size > 0 })),
    tune,
  );
  const { dimension } = spec;
  const { cut, gateLayers } =
    tune.gate === null ? { cut: own, gateLayers: [] } : withGate(own, tune.gate, { dimension, seed });
  return {
    ...{ cut, contract, side, colour, classCount },
    // The layers of a stored backbone end with its pooling.
    pooling: "average",
    batchSize: tune.batchSize,
    trained: new Set([...trained, ...gateLayers]),
    rateFactors,
    norm: tune.norm,
    statisticsMomentum: tune.statisticsMomentum,
    optimizer: tune.optimizer,
    clipNorm: tune.clipNorm,
    averageDecay: tune.averageDecay,
    hasDropout: tune.dropout > 0,
    hasMixup: tune.mixup > 0,
    threads,
    memoryMb: tune.memoryMb,
    precision: tune.precision,
  };
}
