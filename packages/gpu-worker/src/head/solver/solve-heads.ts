import { setImmediate as nextTurn } from "node:timers/promises";
import { TrommelError, type EngineName, type HeadWeights, type OptimizerRecipe } from "@trommel/common";
import { checkSignal } from "../check-training.js";
import { openTfjsNetwork } from "../tfjs/tfjs-network.js";
import { openCompiledNetwork } from "./compiled-network.js";
import { minimize, type Minimum } from "./lbfgs.js";
import { LinearObjective, type LinearEvaluated, type LinearProblem } from "./linear-objective.js";

type SolverRecipe = Extract<OptimizerRecipe, { type: "lbfgs" }>;

export interface SolveOptions extends Pick<SolverRecipe, "tolerance" | "maxIterations"> {
  /** The penalties to solve for, the largest first: each solution is where the search for the next one begins. */
  readonly penalties: readonly number[];
  /** @default "onnx" */
  readonly engine?: EngineName | undefined;
  /** Checked between iterations. */
  readonly signal?: AbortSignal | undefined;
}

export interface SolvedHead {
  readonly weights: HeadWeights;
  readonly penalty: number;
  /** Over the training rows, weighted, without the penalty. */
  readonly loss: number;
  readonly accuracy: number;
  readonly iterations: number;
}

const networks = { onnx: openCompiledNetwork, tfjs: openTfjsNetwork };

/**
 * Rounding in the objective and in the entries of its gradient: passes over rows are computed in float32. If rounding hides
 * every lower step, a gradient that is no larger than its own rounding is that of the optimum.
 */
const valueNoise = 1e-7;
const slopeNoise = 1e-6;

/**
 * Solves a linear head for every penalty, from zero weights. The same inputs give the same bytes, whatever the threads.
 * @throws TrommelError `bad-dataset` when no optimum is found, `cancelled` when the signal aborts
 */
export async function solveHeads(problem: LinearProblem, options: SolveOptions): Promise<SolvedHead[]> {
  const { penalties, engine = "onnx", tolerance, maxIterations, signal } = options;
  if (penalties.some((penalty, index) => index > 0 && penalty > (penalties[index - 1] as number))) {
    throw new TrommelError(
      "internal",
      `cannot solve a linear head: the penalties ${penalties.join(", ")} do not descend`,
    );
  }
  const network = await networks[engine](problem.rows.width, problem.classCount);
  const objective = new LinearObjective(problem, network);
  try {
    const solved: SolvedHead[] = [];
    let start = objective.start;
    for (const penalty of penalties) {
      const minimum = await minimize<LinearEvaluated>({
        evaluate: (parameters) => objective.evaluate(parameters, penalty),
        start,
        tolerance,
        maxIterations,
        valueNoise,
        beforeIteration: async () => {
          checkSignal(signal, "while it was solved");
          await nextTurn();
        },
      });
      checkSolved(minimum, penalty, options);
      start = minimum.point;
      const { loss, correct, iterations } = minimum;
      const accuracy = correct / problem.rows.count;
      solved.push({ weights: objective.head(minimum.point), penalty, loss, accuracy, iterations });
    }
    return solved;
  } finally {
    await network.release();
  }
}

function checkSolved(
  { ended, slope, value, iterations }: Minimum<LinearEvaluated>,
  penalty: number,
  { tolerance, maxIterations }: SolveOptions,
): void {
  if (ended === "tolerance" || (ended === "stalled" && slope <= Math.max(tolerance, slopeNoise))) return;
  const where = `after ${iterations} iterations at l2 ${penalty} the loss is ${value} and its largest slope ${slope}`;
  const advice = Number.isFinite(value)
    ? `Raise training.optimizer.l2, maxIterations (${maxIterations}) or tolerance (${tolerance})`
    : "Check the features for values that are not finite";
  throw new TrommelError("bad-dataset", `cannot solve the linear head: ${where}. ${advice}`);
}
