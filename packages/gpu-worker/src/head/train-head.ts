import { setImmediate as nextTurn } from "node:timers/promises";
import { TrommelError, type EpochRecord, type HeadWeights } from "@trommel/common";
import { checkFinite, checkRows, checkSignal } from "./check-training.js";
import { EpochApart, type EpochOfPart } from "./epoch-apart.js";
import type { HeadLearner } from "./head-learner.js";
import { keepsLater } from "./keep-rule.js";
import { setUpLearner, withLearner, type LearnerSetup, type TrainingInputs } from "./learner-setup.js";
import { JoinedRows, type RowSet } from "./model/row-set.js";
import { solveOnRows, stepTraining } from "./solver/solved-training.js";
import {
  decodeTrainingState,
  encodeTrainingState,
  type Checkpoints,
  type RefitRecord,
  type TrainingState,
} from "./training-state.js";

export interface TrainHeadInputs extends TrainingInputs {
  /** Every view of the training images; classes are 0..classCount − 1. */
  readonly train: RowSet;
  /** The identity views of the validation images. */
  readonly validation: RowSet;
  /** The group of each validation row, which choose no epoch for one another. @default each is its own */
  readonly validationGroups?: Int32Array;
  /** Every view of the validation images, which a refit adds to the training rows. Required if the recipe refits. */
  readonly heldBack?: RowSet;
  /** The storage to continue from and to save to after every epoch. */
  readonly checkpoints?: Checkpoints;
  readonly onEpoch?: (record: EpochRecord) => void;
  readonly onRefitEpoch?: (record: RefitRecord, bestEpoch: number) => void;
}

export interface TrainedHead {
  /** The head. */
  readonly weights: HeadWeights;
  /** The weights of the kept epoch, which can be measured on the validation rows. Without a refit they are `weights`. */
  readonly measuredWeights: HeadWeights;
  /**
   * What the validation rows get from epochs that were chosen on other rows of them, [validation rows, classes]. Null where no epoch was
   * chosen, or there is but one row.
   */
  readonly apart: Float32Array | null;
  /** From 1. */
  readonly bestEpoch: number;
  readonly history: readonly EpochRecord[];
  /** Null without a refit. */
  readonly refit: readonly RefitRecord[] | null;
}

/**
 * Trains a head on projected features. The same inputs give the same bytes, from a checkpoint or not: the order of
 * rows and the noise of an epoch come from (seed, epoch). The two engines give different bytes.
 *
 * As in Keras, the training figures are means over the epoch's batches during training, dropout included, and the loss of
 * both splits includes label smoothing. The recipe's rule decides which epoch's weights are kept. A head that is solved
 * (optimiser `lbfgs`) has one epoch.
 *
 * A refit starts again from the same initial weights, on training and validation rows together, and ends after the kept
 * epoch's number. Its rates are the same function of the epoch: the schedule spans the recipe's epochs (not the kept
 * ones) with the refit's own, larger, number of steps in each, and a plateau schedule receives the training's validation
 * losses, so that it reduces the rate after the same epochs.
 *
 * @throws TrommelError `bad-dataset` without training or validation rows or when the loss stops being finite,
 *   `invalid-argument` if the recipe weights a class that does not exist, `cancelled` when the signal aborts, `corrupt` if a
 *   checkpoint belongs to another training, `internal` when lengths or labels do not fit
 */
export async function trainHead(inputs: TrainHeadInputs): Promise<TrainedHead> {
  const featureCount = checkRows(inputs);
  const { training } = inputs;
  const stepped = stepTraining(training);
  if (stepped === undefined) return await solveHead(inputs, featureCount);
  const setup: Setup = { ...setUpLearner(inputs, stepped, featureCount), inputs };
  const saved = await loadState(setup);
  const trained = await trainMeasured(setup, saved);
  const { epoch: bestEpoch, weights: measuredWeights } = trained.best;
  const { history, apart: chosen } = trained;
  const apart = chosen.length === 0 ? null : epochApart(inputs, chosen).probabilities(inputs.head);
  const measured = { measuredWeights, apart, bestEpoch, history };
  if (!training.refit) return { ...measured, weights: measuredWeights, refit: null };
  return { ...measured, ...(await refitOnAll(setup, trained, saved)) };
}

interface Setup extends LearnerSetup {
  readonly inputs: TrainHeadInputs;
}

type Trained = Pick<TrainingState, "best" | "apart" | "history">;

/** The training with a validation after each epoch. A saved state that is past it is returned unchanged. */
async function trainMeasured(setup: Setup, saved: TrainingState | undefined): Promise<Trained> {
  const { inputs, featureCount } = setup;
  const { epochs, keep } = inputs.training;
  const rows = new JoinedRows([inputs.train], featureCount);
  const history = [...(saved?.history ?? [])];
  let best = saved?.best;
  const isChosen = keep !== "last" && inputs.validation.labels.length > 1;
  const apart = isChosen ? epochApart(inputs, saved?.apart) : undefined;
  const onRows = apart?.validated.bind(apart);
  const begun = { from: saved, seenLosses: lossesOf(history) };
  await withLearner(setup, rows, begun, async (learner, schedule) => {
    for (let epoch = history.length + 1; epoch <= epochs; epoch += 1) {
      checkSignal(inputs.signal, `before epoch ${epoch}`);
      const record: EpochRecord = {
        epoch,
        ...(await learner.trainEpoch(epoch, schedule)),
        ...(await learner.validate(inputs.validation, onRows)),
      };
      checkFinite(record);
      let taken: HeadWeights | undefined;
      const snapshot = (): HeadWeights => (taken ??= learner.snapshot());
      const bestRecord = best === undefined ? undefined : history[best.epoch - 1];
      if (best === undefined || bestRecord === undefined || keepsLater(keep, record, bestRecord)) {
        best = { epoch, weights: snapshot() };
      }
      apart?.epochEnded(epoch, snapshot);
      history.push(record);
      schedule.epochEnded(record.validationLoss);
      await saveState(inputs, epoch, learner, { best, apart: apart?.chosen ?? [], history, refit: null });
      inputs.onEpoch?.(record);
      await nextTurn();
    }
  });
  if (best === undefined) throw new TrommelError("internal", "cannot train the head: no epoch was run");
  return { best, apart: apart?.chosen ?? [], history };
}

function epochApart(inputs: TrainHeadInputs, chosen: readonly EpochOfPart[] | undefined): EpochApart {
  const { validation, validationGroups: groupOf, classCount, training } = inputs;
  return new EpochApart({ validation, groupOf, classCount, training, chosen });
}

async function refitOnAll(
  setup: Setup,
  trained: Trained,
  saved: TrainingState | undefined,
): Promise<{ weights: HeadWeights; refit: RefitRecord[] }> {
  const { inputs, featureCount } = setup;
  const { best, apart, history } = trained;
  const refit = [...(saved?.refit ?? [])];
  const from = saved === undefined || saved.refit === null ? undefined : saved;
  const begun = { from, seenLosses: lossesOf(history.slice(0, refit.length)) };
  return await withLearner(setup, allRows(inputs, featureCount), begun, async (learner, schedule) => {
    for (let epoch = refit.length + 1; epoch <= best.epoch; epoch += 1) {
      checkSignal(inputs.signal, `before epoch ${epoch} of the refit`);
      const record: RefitRecord = { epoch, ...(await learner.trainEpoch(epoch, schedule)) };
      checkFinite(record);
      refit.push(record);
      schedule.epochEnded(history[epoch - 1]?.validationLoss ?? Number.NaN);
      await saveState(inputs, inputs.training.epochs + epoch, learner, { best, apart, history, refit });
      inputs.onRefitEpoch?.(record, best.epoch);
      await nextTurn();
    }
    return { weights: learner.snapshot(), refit };
  });
}

function lossesOf(history: readonly EpochRecord[]): number[] {
  return history.map(({ validationLoss }) => validationLoss);
}

function allRows({ train, heldBack }: TrainHeadInputs, featureCount: number): JoinedRows {
  return new JoinedRows(heldBack === undefined ? [train] : [train, heldBack], featureCount);
}

async function solveHead(inputs: TrainHeadInputs, featureCount: number): Promise<TrainedHead> {
  const { train, validation, training } = inputs;
  const solved = await solveOnRows(inputs, new JoinedRows([train], featureCount));
  const record = { ...solved.record, ...(await solved.validate(validation)) };
  inputs.onEpoch?.(record);
  const measured = { measuredWeights: solved.weights, apart: null, bestEpoch: 1, history: [record] };
  if (!training.refit) return { ...measured, weights: solved.weights, refit: null };
  const refitted = await solveOnRows(inputs, allRows(inputs, featureCount));
  inputs.onRefitEpoch?.(refitted.record, 1);
  return { ...measured, weights: refitted.weights, refit: [refitted.record] };
}

async function loadState({ inputs, initial }: Setup): Promise<TrainingState | undefined> {
  const file = await inputs.checkpoints?.load();
  return file === undefined ? undefined : decodeTrainingState(file.bytes, file.name, inputs.head, initial);
}

async function saveState(
  { checkpoints }: TrainHeadInputs,
  number: number,
  learner: HeadLearner,
  progress: Pick<TrainingState, "best" | "apart" | "history" | "refit">,
): Promise<void> {
  if (checkpoints === undefined) return;
  const state = { weights: learner.snapshot(), optimizer: learner.optimizerState, ...progress };
  await checkpoints.save(number, progress.best.epoch, encodeTrainingState(state));
}
