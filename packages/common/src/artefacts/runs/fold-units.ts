import { candidatesOf, type AutoHead, type CandidateRecipe } from "../../recipe/auto-head.js";

/** Shares of the training images that the learning curve is measured at, besides all of them. */
const curveShares = [0.25, 0.5, 0.75] as const;

/** What one `fold` job does: trains a candidate on a share of the images of all folds but one. */
export interface FoldUnit {
  /** Its place among the recipe's candidates, see {@link candidatesOf}. */
  readonly candidate: number;
  readonly fold: number;
  /** The share of the training images that is used: 1 but for the learning curve. */
  readonly share: number;
}

/** The candidate that the learning curve is measured with: the simplest, since its jobs are many and take the least time. */
export const curveCandidate = 0;

/** A run's fold jobs by number. The last candidate, which takes longest, comes first. A single fold has no learning curve. */
export function foldUnits(head: AutoHead, folds: number): readonly FoldUnit[] {
  const everyFold = (candidate: number, share: number): FoldUnit[] =>
    Array.from({ length: folds }, (_, fold) => ({ candidate, fold, share }));
  const candidates = [...candidatesOf(head).keys()].reverse().flatMap((candidate) => everyFold(candidate, 1));
  const curve =
    head.learningCurve && folds > 1 ? curveShares.flatMap((share) => everyFold(curveCandidate, share)) : [];
  return [...candidates, ...curve];
}

/** Which jobs tried a candidate, by fold. */
export function unitsOf(units: readonly FoldUnit[], candidate: number, share: number): readonly number[] {
  return [...units.entries()]
    .filter(([, unit]) => unit.candidate === candidate && unit.share === share)
    .sort(([, a], [, b]) => a.fold - b.fold)
    .map(([index]) => index);
}

/** A candidate's choices: the penalties of a linear head that is solved, otherwise one. */
export function variantsOf({ penalties }: CandidateRecipe): readonly (number | null)[] {
  return penalties ?? [null];
}

/** The choice of a candidate that the learning curve shows: of penalties the middle one, so that its jobs solve for that alone. */
export function curveVariant(candidate: CandidateRecipe): number {
  return Math.floor(variantsOf(candidate).length / 2);
}
