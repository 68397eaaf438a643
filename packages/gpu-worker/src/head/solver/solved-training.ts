import { TrommelError, type OptimizerRecipe, type TrainingRecipe } from "@trommel/common";
import { predictedClasses } from "../../measure/classes.js";
import { batchClassWeights } from "../batches/class-weights.js";
import { headLogits } from "../compiled/head-logits.js";
import type { StepTraining, ValidatedEpoch } from "../head-learner.js";
import { figuresOfRule } from "../keep-rule.js";
import type { TrainingInputs } from "../learner-setup.js";
import { lossFigures } from "../model/cross-entropy.js";
import type { JoinedRows, RowSet } from "../model/row-set.js";
import type { RefitRecord } from "../training-state.js";
import { solveHeads, type SolvedHead } from "./solve-heads.js";

/** The training of an optimiser that steps; undefined for one that solves. */
export function stepTraining(training: TrainingRecipe): StepTraining | undefined {
  const { optimizer } = training;
  return optimizer.type === "lbfgs" ? undefined : { ...training, optimizer };
}

interface SolvedOnRows extends SolvedHead {
  /** As that of a training of one epoch, with a learning rate of 0. */
  readonly record: RefitRecord;
  readonly validate: (rows: RowSet) => Promise<ValidatedEpoch>;
}

/** Solves the recipe's linear head on all of the rows, for the recipe's penalty. */
export async function solveOnRows(inputs: TrainingInputs, rows: JoinedRows): Promise<SolvedOnRows> {
  const { head, training, classCount, classNames, engine, signal } = inputs;
  const { optimizer, labelSmoothing } = training;
  if (head.type !== "linear" || optimizer.type !== "lbfgs") throw notSolvable(head.type, optimizer);
  const classWeights = batchClassWeights(training, classNames, { rows, classCount });
  const problem = { rows, classCount, hasBias: head.bias, labelSmoothing, classWeights };
  const [solved] = await solveHeads(problem, { ...optimizer, penalties: [optimizer.l2], engine, signal });
  if (solved === undefined) throw notSolvable(head.type, optimizer);
  const { loss, accuracy, weights } = solved;
  const validate = async ({ features, labels }: RowSet): Promise<ValidatedEpoch> => {
    const logits = await headLogits(head, weights, features, labels.length);
    const figures = lossFigures(logits, labels, classCount, labelSmoothing);
    const predicted = () => predictedClasses(Float64Array.from(logits), classCount);
    return {
      validationLoss: figures.loss / labels.length,
      validationAccuracy: figures.correct / labels.length,
      ...figuresOfRule(training.keep, predicted, labels, classCount),
    };
  };
  const record = { epoch: 1, learningRate: 0, trainLoss: loss, trainAccuracy: accuracy };
  return { ...solved, record, validate };
}

function notSolvable(head: string, { type }: OptimizerRecipe): TrommelError {
  return new TrommelError(
    "internal",
    `cannot solve the head: the optimizer ${type} does not solve a ${head} head`,
  );
}
