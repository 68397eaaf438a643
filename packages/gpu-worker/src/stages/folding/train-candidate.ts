import { seedFrom, TrommelError, type HeadWeights, type RunConfig } from "@trommel/common";
import type { CandidateRecipe } from "@trommel/common/recipe";
import { expectedClassWeights } from "../../head/batches/class-weights.js";
import { JoinedRows, type RowSet } from "../../head/model/row-set.js";
import { solveLinear } from "../../head/solver/solve-linear.js";
import { trainForEpochs } from "../../head/train-for-epochs.js";
import type { StageContext } from "../context.js";
import { readTunedHead } from "./tuned-head.js";

/** Below it the largest entry of the gradient has to come: what is left moves no out-of-fold figure in its first four digits. */
const tolerance = 1e-4;

/**
 * Trains a candidate on rows, to the same bytes whatever the worker's threads. The recipe's class weights and sampling hold for
 * every candidate; one that is solved uses every row once, and the class weights that the sampling comes to. The classifier of a tuned
 * network is taken as it is.
 * @returns a head for each variant: of a linear candidate one for each penalty, in their order, otherwise one
 */
export async function trainCandidate(
  { name, head, training, penalties }: CandidateRecipe,
  options: {
    readonly train: RowSet;
    readonly config: RunConfig;
    /** The division, from 0: each after the first has a seed of its own. */
    readonly repeat: number;
    readonly labels: readonly string[];
    readonly context: StageContext;
  },
): Promise<readonly HeadWeights[]> {
  const { train, config, repeat, labels, context } = options;
  const { classWeights, sampling } = config.recipe.training;
  const { seed } = config.recipe;
  const ownSeed = repeat === 0 ? seed : seedFrom("heads of a division", seed, repeat) >>> 0;
  const classCount = labels.length;
  if (penalties !== null) {
    const rows = new JoinedRows([train], train.features.length / train.labels.length);
    const counts = rows.classCounts(classCount);
    const { engine, signal } = context;
    return await solveLinear({
      train,
      classCount,
      penalties,
      classWeights: expectedClassWeights({ classWeights, sampling }, labels, counts),
      tolerance,
      engine,
      signal,
    });
  }
  const { tune } = config.recipe;
  if (training === null && tune !== null) return [await readTunedHead(context.store, config, tune)];
  if (training === null)
    throw new TrommelError("internal", `cannot train ${name}: it has neither training nor penalties`);
  const { epochs } = training;
  const weights = await trainForEpochs({
    train,
    classCount,
    head,
    classNames: labels,
    training: { ...training, classWeights, sampling },
    seed: ownSeed,
    engine: context.engine,
    signal: context.signal,
    onEpoch: ({ epoch, trainLoss }) =>
      context.onNote(`epoch ${epoch} of ${epochs}, loss ${trainLoss.toFixed(4)}`),
  });
  return [weights];
}
