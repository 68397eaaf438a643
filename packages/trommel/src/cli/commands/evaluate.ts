import { boundedFigures, TrommelError } from "../../index.js";
import type { Estimate, EvaluationResult, FigureBounds } from "../../index.js";
import { followToEnd } from "../follow.js";
import { withInterrupts, type ClusterFlags, type GlobalFlags } from "../handle.js";
import { shownPlace } from "../describe/shown-place.js";
import { exitCodes, type Terminal } from "../terminal.js";

type EvaluateFlags = GlobalFlags &
  ClusterFlags & {
    readonly model?: string;
    readonly labels?: string;
    readonly idColumn?: string;
    readonly labelColumn?: string;
    readonly delimiter?: string;
    readonly encoding?: string;
    readonly compare?: string;
    readonly include?: readonly string[];
    readonly exclude?: readonly string[];
    readonly archives?: true;
    readonly failUnder?: FigureBounds;
    readonly output?: string;
  };

/** `trommel evaluate <prefix|scoring> --model …` */
export async function evaluate(terminal: Terminal, source: string, flags: EvaluateFlags): Promise<void> {
  await withInterrupts(terminal, flags, async (trommel, signal) => {
    const { model, compare, failUnder, output, idColumn, labelColumn, delimiter, encoding } = flags;
    const { include, exclude } = flags;
    if (flags.labels === undefined && (idColumn ?? labelColumn ?? delimiter ?? encoding) !== undefined) {
      throw new TrommelError(
        "invalid-argument",
        "cannot use --id-column, --label-column, --delimiter or --encoding without --labels: they say how that file is read. Give --labels <file>",
      );
    }
    const labels =
      flags.labels === undefined
        ? undefined
        : { file: flags.labels, idColumn, labelColumn, delimiter, encoding };
    const evaluation = await trommel.evaluate(source, {
      model,
      compare,
      labels,
      include,
      exclude,
      ...(flags.archives === true ? { archives: {} } : {}),
      failUnder,
      output,
      signal,
    });
    for (const scoring of evaluation.scorings) await followToEnd(terminal, scoring);
    const result = await evaluation.result({ signal });
    for (const line of describeEvaluation(result)) terminal.say(line);
    terminal.result(result);
    if (result.missed.length > 0) terminal.exitCode = exitCodes.missedBound;
  });
}

/** What an evaluation came to, in lines for people. */
function* describeEvaluation(result: EvaluationResult): Generator<string> {
  const { figures, notes, comparison, verdict, missed, report, output, reused } = result;
  if (reused) yield "evaluated before: nothing was computed again";
  yield `${figures.images} labelled images, with the range that holds the true value in 95 of 100 cases:`;
  yield `accuracy ${shown(figures.accuracy)}, balanced accuracy ${shown(figures.balancedAccuracy)}, macro F1 ${shown(figures.macroF1)}`;
  yield `log loss ${shown(figures.logLoss)}, calibration error ${shown(figures.expectedCalibrationError)}`;
  yield* notes;
  if (comparison !== null && verdict !== null) {
    const { first, difference } = comparison;
    yield `${verdict.other}, on ${first.images} of them: accuracy ${changed(difference.accuracy)}, log loss ${changed(difference.logLoss)}`;
    yield verdict.sentences;
  }
  yield "higher accuracy and lower log loss are better; the report explains the figures";
  yield `report: ${shownPlace(report)}`;
  if (output !== null) yield `copied to: ${shownPlace(output)}`;
  if (missed.length > 0) {
    const each = missed.map(({ figure, value, bound }) => {
      const side = boundedFigures[figure].atLeast ? "at least" : "at most";
      return `${figure} is ${value.toFixed(4)}, not ${side} ${bound}`;
    });
    yield `the model misses its bounds: ${each.join("; ")} (exit code ${exitCodes.missedBound})`;
  }
}

function shown(estimate: Estimate | null): string {
  if (estimate === null) return "–";
  const { value, low, high } = estimate;
  return `${value.toFixed(4)} (${low.toFixed(4)} to ${high.toFixed(4)})`;
}

/** A difference with its sign, so that the range that holds it reads the same way. */
function changed(difference: Estimate | null): string {
  if (difference === null) return "–";
  const { value, low, high } = difference;
  return `${signed(value)} (${signed(low)} to ${signed(high)})`;
}

function signed(value: number): string {
  const shown = Math.abs(value).toFixed(4);
  if (Number(shown) === 0) return shown;
  return `${value < 0 ? "−" : "+"}${shown}`;
}
