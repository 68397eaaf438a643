import { runKeys, TrommelError, type ObjectStore } from "@trommel/common";
import { curveVariant, decodeFoldResult, foldUnits, unitsOf } from "@trommel/common/artefacts";
import { findMarker, readInput } from "@trommel/common/codec";
import { autoHeadOf, candidatesOf } from "@trommel/common/recipe";
import type { TuningSetting, TuningState } from "../../tuning/engine/tuner.js";
import { initialState, type Classifier } from "../../tuning/engine/tuning-state.js";
import { firstGateFactor } from "../../tuning/layers/gate.js";
import { firstCheckpoint, type Checkpoint } from "../../tuning/rounds/merge-replicas.js";
import { decodeCheckpoint } from "../../tuning/rounds/state-codec.js";
import { readFoldSplit } from "../folding/fold-split.js";
import { readStandardization } from "../folding/standardization.js";
import type { TuningRun } from "./tuning-run.js";

/**
 * What a round starts from. The first has no artefact: every job computes the same from the run without tuning.
 * @throws TrommelError `missing-input` if the round before it has no checkpoint
 */
export async function readCheckpoint(
  store: ObjectStore,
  run: TuningRun,
  setting: TuningSetting,
  round: number,
): Promise<Checkpoint> {
  if (round > 0) {
    const key = runKeys(run.config.id).tuning.checkpoint(round);
    return decodeCheckpoint((await readInput(store, key)).bytes, key);
  }
  const own = initialState(setting, await firstClassifier(store, run));
  const state = run.tune.from === null ? own : withWeightsOf(own, await readOrigin(store, run), run);
  return firstCheckpoint(state, run.rounds.replicas);
}

/**
 * The classifier before the first step: the linear candidate of the run without tuning that never saw the held-out fold, or the mean of
 * those of all folds if none is held out, on embeddings as they are, before a gate that begins to train with it; zeros if the recipe's
 * candidates have none that is solved.
 */
async function firstClassifier(store: ObjectStore, run: TuningRun): Promise<Classifier> {
  const { untuned, spec, classNames, plan } = run;
  const { dimension } = spec;
  const classCount = classNames.length;
  const kernel = new Float64Array(dimension * classCount);
  const bias = new Float64Array(classCount);
  const head = autoHeadOf(untuned);
  const candidates = candidatesOf(head);
  const linear = candidates.findIndex(({ penalties }) => penalties !== null);
  const candidate = candidates[linear];
  if (candidate === undefined) return { kernel: Float32Array.from(kernel), bias: Float32Array.from(bias) };
  const jobs = unitsOf(foldUnits(head, await readFoldSplit(store, untuned.id)), linear, 1).filter(
    (_, fold) => plan.heldOutFold === null || fold === plan.heldOutFold,
  );
  const { mean, scale } = await readStandardization(store, untuned.id);
  for (const job of jobs) {
    const key = runKeys(untuned.id).fold(job);
    const { heads } = decodeFoldResult((await readInput(store, key)).bytes, key);
    const weights = heads[curveVariant(candidate)];
    const solved = weights?.["output.kernel"]?.data;
    if (solved?.length !== kernel.length)
      throw new TrommelError(
        "corrupt",
        `cannot begin to tune: ${key} has no kernel for ${dimension} dimensions`,
      );
    for (let i = 0; i < classCount; i += 1)
      bias[i]! += (weights?.["output.bias"]?.data[i] ?? 0) / jobs.length;
    for (let row = 0; row < dimension; row += 1) {
      for (let column = 0; column < classCount; column += 1) {
        const at = row * classCount + column;
        const slope = ((solved[at] as number) * (scale[row] as number)) / jobs.length;
        kernel[at]! += slope;
        bias[column]! -= slope * (mean[row] as number);
      }
    }
  }
  const gate = run.tune.gate === null ? 1 : firstGateFactor;
  return { kernel: Float32Array.from(kernel, (value) => value / gate), bias: Float32Array.from(bias) };
}

/** The checkpoint of another run that this one begins with. @throws TrommelError `missing-input` if it is no longer there */
async function readOrigin(store: ObjectStore, { config, tune, plan }: TuningRun): Promise<Checkpoint> {
  const { from } = plan;
  const key = runKeys(tune.from ?? "").tuning.checkpoint((from?.round ?? 0) + 1);
  const found = from === null ? undefined : await findMarker(store, key);
  if (found === undefined || found.sha256 !== from?.sha256)
    throw new TrommelError(
      "missing-input",
      `cannot begin to tune ${config.id}: ${key} is no longer the checkpoint that it began with, because ${tune.from} went on. Train again under another id (--run)`,
      { context: { from: tune.from } },
    );
  return decodeCheckpoint((await readInput(store, key)).bytes, key);
}

/** The optimiser begins from nothing: its steps and rates are those of the new recipe. */
function withWeightsOf(
  own: TuningState,
  { shared }: Checkpoint,
  { config: { id }, tune: { from } }: Pick<TuningRun, "config" | "tune">,
): TuningState {
  const tensors = new Map(own.tensors);
  for (const [name, tensor] of own.tensors) {
    if (!name.startsWith("weights/") && !name.startsWith("average/")) continue;
    const found = shared.get(name) ?? shared.get(name.replace(/^average\//, "weights/"));
    if (found?.data.length !== tensor.data.length)
      throw new TrommelError(
        "invalid-argument",
        `cannot let ${id} continue from ${from}: that run did not train ${name.replace(/^\w+\//, "")}, or in another shape. Give it the same backbone, classes, tune.blocks and tune.norm, or leave tune.from out`,
        { context: { name } },
      );
    tensors.set(name, found);
  }
  return { ...own, tensors };
}
