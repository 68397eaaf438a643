import { runKeys, writeWithMarker, type ObjectStore } from "@trommel/common";
import {
  changeMarker,
  checkpointMarker,
  readRoundFigures,
  roundSpan,
  type RoundFigures,
} from "@trommel/common/artefacts";
import { findCommitted, putJsonOnce, readInput, sealedJson } from "@trommel/common/codec";
import { mergeReplicas } from "../tuning/rounds/merge-replicas.js";
import { decodeState, encodeCheckpoint } from "../tuning/rounds/state-codec.js";
import type { TuningState } from "../tuning/engine/tuner.js";
import type { StageContext, StageOutcome } from "./context.js";
import { commitOnce } from "./inputs/commit-once.js";
import { refuseDivergence } from "./tuning/divergence.js";
import { measureHeldOut } from "./tuning/held-out.js";
import { removeSuperseded } from "./tuning/kept-artefacts.js";
import { tuningSetting } from "./tuning/network.js";
import { readCheckpoint } from "./tuning/start-state.js";
import { readTuningImages } from "./tuning/tuning-images.js";
import { readTuningRun, type TuningRun } from "./tuning/tuning-run.js";

/**
 * Merge: checkpoint, changes → checkpoint, figures of the round.
 *
 * In: what every replica has come to. Out: `tuning/checkpoints/<round + 1>.safetensors`, with the round's figures in its marker, and
 * `tuning/rounds/<round>.json`, the figures alone, which stay. A run that holds no fold out has those of training alone. A retry finds the checkpoint, or merges again to the same bytes; then it
 * removes what no later round starts from.
 * @throws TrommelError `missing-input` if a replica has not ended its round, `invalid-argument` where the loss is not finite, or huge
 */
export async function merge(runId: string, round: number, context: StageContext): Promise<StageOutcome> {
  const { store } = context;
  const keys = runKeys(runId).tuning;
  const key = keys.checkpoint(round + 1);
  const run = await readTuningRun(store, runId);
  const existing = await findCommitted(store, key, checkpointMarker);
  if (existing === undefined) await mergeRound(run, round, context);
  const { figures } = (await readInput(store, key, checkpointMarker)).marker;
  await putJsonOnce(store, keys.round(round), sealedJson({ formatVersion: 1, figures }));
  const { heldOut, training, epoch } = figures;
  const measured =
    heldOut === null
      ? ""
      : `, held-out loss ${heldOut.loss.toFixed(4)}, accuracy ${heldOut.accuracy.toFixed(4)}`;
  context.onNote(
    `round ${round + 1} of ${run.rounds.rounds}, epoch ${epoch}: training loss ${training.loss.toFixed(4)}${measured}`,
  );
  await removeSuperseded(store, run, await readRoundFigures(store, runId, round + 1));
  return { images: 0, failed: 0 };
}

async function mergeRound(run: TuningRun, round: number, context: StageContext): Promise<void> {
  const { store, threads, signal } = context;
  const { epoch } = roundSpan(run.rounds, round);
  const setting = await tuningSetting(store, run, threads);
  const from = await readCheckpoint(store, run, setting, round);
  const { states, training } = await readChanges(store, run, round);
  const next = mergeReplicas(from, states, run.tune.outer);
  const shared: TuningState = { step: next.step, tensors: next.shared };
  const images = run.plan.heldOutFold === null ? null : await readTuningImages(store, run, signal);
  const heldOut =
    images === null ? null : await measureHeldOut(run, images.heldOut, setting, shared, context);
  if (heldOut !== null) refuseDivergence(run, heldOut.loss, { round });
  const figures: RoundFigures = { round, epoch, steps: next.step, training, heldOut };
  const key = runKeys(run.config.id).tuning.checkpoint(round + 1);
  await commitOnce(() => writeWithMarker(store, key, encodeCheckpoint(next), { figures }));
}

async function readChanges(
  store: ObjectStore,
  { config, rounds }: TuningRun,
  round: number,
): Promise<{ readonly states: readonly TuningState[]; readonly training: RoundFigures["training"] }> {
  const states: TuningState[] = [];
  let [loss, accuracy] = [0, 0];
  for (let replica = 0; replica < rounds.replicas; replica += 1) {
    const key = runKeys(config.id).tuning.change(round, replica);
    const { bytes, marker } = await readInput(store, key, changeMarker);
    states.push(decodeState(bytes, key));
    loss += marker.training.loss / rounds.replicas;
    accuracy += marker.training.accuracy / rounds.replicas;
  }
  return { states, training: { loss, accuracy } };
}
