import type { HeadWeights } from "@trommel/common";
import { meanOneWeights } from "../batches/class-weights.js";
import { checkTrainRows } from "../check-training.js";
import { JoinedRows, type RowSet } from "../model/row-set.js";
import { solveHeads, type SolveOptions } from "./solve-heads.js";

export interface SolveLinearInputs extends Omit<SolveOptions, "tolerance" | "maxIterations"> {
  /** Classes are 0..classCount − 1. */
  readonly train: RowSet;
  readonly classCount: number;
  /** @default true */
  readonly bias?: boolean;
  /** By class, in any scale, as `resolveClassWeights` gives them. @default all rows weigh the same */
  readonly classWeights?: Float64Array | undefined;
  /** @default 0 */
  readonly labelSmoothing?: number;
  /** @default 1e-6 */
  readonly tolerance?: number;
  /** @default 2000 */
  readonly maxIterations?: number;
}

/**
 * The linear heads at the optimum of (1 / Σw) · Σ w · loss + (l2 / 2) · ‖W‖², one for each penalty l2. The same inputs give
 * the same bytes.
 * @throws TrommelError `bad-dataset` without rows or when no optimum is found, `cancelled` when the signal aborts, `internal`
 *   when lengths or labels do not fit or the penalties do not descend
 */
export async function solveLinear(inputs: SolveLinearInputs): Promise<HeadWeights[]> {
  const { train, classCount, bias: hasBias = true, labelSmoothing = 0 } = inputs;
  const { penalties, engine, signal, tolerance = 1e-6, maxIterations = 2000 } = inputs;
  const rows = new JoinedRows([train], checkTrainRows(train, classCount));
  const classWeights =
    inputs.classWeights === undefined
      ? undefined
      : meanOneWeights(inputs.classWeights, rows.classCounts(classCount));
  const problem = { rows, classCount, hasBias, labelSmoothing, classWeights };
  const solved = await solveHeads(problem, { penalties, engine, signal, tolerance, maxIterations });
  return solved.map(({ weights }) => weights);
}
