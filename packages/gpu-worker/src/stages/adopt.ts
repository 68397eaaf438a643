import {
  backboneId,
  parseJsonAs,
  runKeys,
  TrommelError,
  writeWithMarker,
  type BackboneSpec,
  type ObjectStore,
} from "@trommel/common";
import {
  checkpointMarker,
  isTuned,
  keptRound,
  networkRunsOf,
  readRoundFigures,
  tunedBackbone,
  tunedKeyOf,
  type FoldNetworks,
  type TunedBackbone,
} from "@trommel/common/artefacts";
import { findCommitted, jsonFile, readInput } from "@trommel/common/codec";
import { checkWeights } from "../backbone/checks/check-weights.js";
import { compileLayers } from "../backbone/compile/layers-to-onnx.js";
import { checkParity } from "../backbone/import/check-parity.js";
import { storeBackbone } from "../backbone/import/store-backbone.js";
import { modelOf } from "../backbone/layers/cut-layers.js";
import { layersToJson } from "../backbone/layers/layers-to-json.js";
import { decodeModel } from "../graph/onnx/onnx-model.js";
import { tunedLayers } from "../tuning/engine/tuning-state.js";
import { gateParameterCount } from "../tuning/layers/gate.js";
import { decodeCheckpoint } from "../tuning/rounds/state-codec.js";
import type { StageContext, StageOutcome } from "./context.js";
import { commitOnce } from "./inputs/commit-once.js";
import { readUnresolvedConfig } from "./inputs/run.js";
import { tuningSetting } from "./tuning/network.js";
import { readTuningRun, specInUse, type TuningRun } from "./tuning/tuning-run.js";

/**
 * Adopt: checkpoint → backbone.
 *
 * In: the checkpoint that the recipe keeps. Out: the backbone `<name>-<run>@<hash>` with its layers, and `tuning/backbone.json`, which
 * says which one it is: the run's features are its. A retry finds the marker, or stores the same backbone again. As an import is, the
 * compiled network is compared with TensorFlow.js first. A run that takes the networks of its folds writes `tuning/networks.json`, which
 * names theirs.
 * @throws TrommelError `missing-input` if a round is missing, `parity-failed` if both differ
 */
export async function adopt(runId: string, context: StageContext): Promise<StageOutcome> {
  const { store, threads } = context;
  const keys = runKeys(runId).tuning;
  const done = { images: 0, failed: 0 };
  const config = await readUnresolvedConfig(store, runId);
  if ((await findCommitted(store, tunedKeyOf(config))) !== undefined) return done;
  const networks = networkRunsOf(config);
  if (networks.length > 0) {
    await takeNetworks(runId, networks, store);
    return done;
  }
  const run = await readTuningRun(store, runId);
  const figures = await readRoundFigures(store, runId);
  if (!isTuned(figures, run.rounds, run.tune)) throw unfinished(run, figures.length);
  const round = keptRound(figures, run.tune.keep);
  const key = keys.checkpoint(round + 1);
  const { bytes, marker } = await readInput(store, key, checkpointMarker);
  const { step, shared } = decodeCheckpoint(bytes, key);
  const setting = await tuningSetting(store, run, threads);
  const cut = tunedLayers(setting, { step, tensors: shared });
  const spec = await storeTuned(run, cut, marker.sha256, context);
  const { hash, dimension, inputSize } = spec;
  const tuned: TunedBackbone = { id: backboneId(spec), hash, dimension, inputSize, round };
  await commitOnce(() => writeWithMarker(store, keys.backbone, jsonFile(tuned)));
  return done;
}

/** The backbones of the runs that tuned one for each fold. */
async function takeNetworks(runId: string, networks: readonly string[], store: ObjectStore): Promise<void> {
  const backbones: TunedBackbone[] = [];
  for (const id of networks) {
    const key = runKeys(id).tuning.backbone;
    backbones.push(parseJsonAs(tunedBackbone, (await readInput(store, key)).bytes, key));
  }
  const taken: FoldNetworks = { backbones };
  await commitOnce(() => writeWithMarker(store, runKeys(runId).tuning.networks, jsonFile(taken)));
}

async function storeTuned(
  run: TuningRun,
  cut: ReturnType<typeof tunedLayers>,
  checkpoint: string,
  { store }: StageContext,
): Promise<BackboneSpec> {
  const { config, tune, spec: before } = run;
  const ofGate = tune.gate === null ? 0 : gateParameterCount(tune.gate, before.dimension);
  const { inputSize, source } = before;
  const { model, dimension, opset } = compileLayers(modelOf(cut), { inputSize });
  checkWeights(decodeModel(model), "the tuned network");
  const { normalization, channelOrder } = specInUse(run);
  const { architecture, licence } = source;
  const layers = layersToJson(cut, { inputSize, pooling: "none" });
  // TensorFlow.js has no group normalisation. What it measures stays out of the spec: its last digits are of the machine.
  if (tune.norm !== "group")
    await checkParity({
      ...{ model, layers, inputSize, normalization },
      words: {
        doing: `store the tuned backbone of ${config.id}`,
        advice: "Report this, and train with another tune.norm or tune.blocks meanwhile",
      },
    });
  return storeBackbone(
    store,
    {
      ...{ model, dimension, opset, inputSize, output: source.output, parity: null, layers },
      pooling: source.pooling,
      parameterCount: before.parameterCount + ofGate,
    },
    {
      name: `${before.name}-${config.id}`,
      normalization,
      channelOrder,
      source: {
        ...{ kind: "tuned", url: `run:${config.id}`, sha256: checkpoint, from: backboneId(before) },
        ...(architecture === undefined ? {} : { architecture }),
        ...(licence === undefined ? {} : { licence }),
      },
    },
  );
}

function unfinished({ config, rounds }: TuningRun, found: number): TrommelError {
  return new TrommelError(
    "missing-input",
    `cannot store the tuned backbone of ${config.id}: ${found} of ${rounds.rounds} rounds are merged. Resume the run`,
    { context: { run: config.id, rounds: found } },
  );
}
