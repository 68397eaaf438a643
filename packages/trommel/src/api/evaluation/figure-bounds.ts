import { TrommelError } from "@trommel/common";
import { boundedFigures, type BoundedFigure, type ModelEvaluation } from "@trommel/common/artefacts";

/** What a model must reach: the least accuracy, balanced accuracy and macro F1, the largest log loss and calibration error. */
export type FigureBounds = Readonly<Partial<Record<BoundedFigure, number>>>;

/** A figure that is on the wrong side of its bound. */
export interface MissedBound {
  readonly figure: BoundedFigure;
  readonly value: number;
  readonly bound: number;
}

const names = Object.keys(boundedFigures) as BoundedFigure[];

/** @throws TrommelError `invalid-argument` for a figure that is not known, or a bound that no model can be asked for */
export function checkBounds(bounds: FigureBounds): void {
  for (const [name, bound] of Object.entries(bounds)) {
    if (!names.some((known) => known === name))
      throw refused(name, bound, `there is no such figure. Legal ones are ${names.join(", ")}`);
    const most = name === "logLoss" ? Infinity : 1;
    if (!Number.isFinite(bound) || bound < 0 || bound > most)
      throw refused(name, bound, `it must be a number from 0${most === 1 ? " to 1" : ""}`);
  }
}

/**
 * @returns in the order of the figures
 * @throws TrommelError `invalid-argument` for a bound on a log loss that the scores do not give
 */
export function missedBounds({ figures }: ModelEvaluation, bounds: FigureBounds): MissedBound[] {
  return names.flatMap((name) => {
    const bound = bounds[name];
    const { figure, atLeast } = boundedFigures[name];
    const value = figures[figure]?.value;
    if (bound === undefined) return [];
    if (value === undefined)
      throw refused(
        name,
        bound,
        "the scores hold the likeliest classes only, which give no log loss. Score with --top for all classes",
      );
    return (atLeast ? value < bound : value > bound) ? [{ figure: name, value, bound }] : [];
  });
}

function refused(name: string, bound: unknown, why: string): TrommelError {
  return new TrommelError("invalid-argument", `cannot check ${name}=${String(bound)}: ${why}`);
}
