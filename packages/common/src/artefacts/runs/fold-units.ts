import { candidatesOf, isRepeated, type AutoHead, type CandidateRecipe } from "../../recipe/auto-head.js";
import type { FoldSplit } from "../shards/listing.js";

/** Shares of the training images that the learning curve is measured at, besides all of them. */
const curveShares = [0.25, 0.5, 0.75] as const;

/** What one `fold` job does: trains a candidate on a share of the images of all folds of a division but one. */
export interface FoldUnit {
  /** Its place among the recipe's candidates, see {@link candidatesOf}. */
  readonly candidate: number;
  /** The division, from 0. Candidates that are not repeated, and the learning curve, have the first one alone. */
  readonly repeat: number;
  readonly fold: number;
  /** The share of the training images that is used: 1 but for the learning curve. */
  readonly share: number;
}

/** The candidate that the learning curve is measured with: the simplest, since its jobs are many and take the least time. */
export const curveCandidate = 0;

/**
 * A run's fold jobs by number. The last candidate, which takes longest, comes first. A single fold has no learning curve.
 * @param split says how many folds and divisions there are, whatever this version's recipe would draw
 */
export function foldUnits(
  head: AutoHead,
  { folds, furtherParts }: Pick<FoldSplit, "folds" | "furtherParts">,
): readonly FoldUnit[] {
  const everyFold = (candidate: number, repeat: number, share: number): FoldUnit[] =>
    Array.from({ length: folds }, (_, fold) => ({ candidate, repeat, fold, share }));
  const divisions = 1 + (furtherParts?.length ?? 0);
  const candidates = [...candidatesOf(head).entries()].reverse().flatMap(([candidate, recipe]) => {
    const repeats = Array.from({ length: isRepeated(recipe) ? divisions : 1 }, (_, repeat) => repeat);
    return repeats.flatMap((repeat) => everyFold(candidate, repeat, 1));
  });
  const curve =
    head.learningCurve && folds > 1
      ? curveShares.flatMap((share) => everyFold(curveCandidate, 0, share))
      : [];
  return [...candidates, ...curve];
}

/** Which jobs tried a candidate on the first division, by fold. */
export function unitsOf(units: readonly FoldUnit[], candidate: number, share: number): readonly number[] {
  return unitsWhere(
    units,
    (unit) => unit.candidate === candidate && unit.repeat === 0 && unit.share === share,
  );
}

/** Which jobs tried a candidate on all images, by division and fold. */
export function unitsByDivision(
  units: readonly FoldUnit[],
  candidate: number,
): readonly (readonly number[])[] {
  const own = units.filter((unit) => unit.candidate === candidate && unit.share === 1);
  const divisions = [...new Set(own.map(({ repeat }) => repeat))].sort((a, b) => a - b);
  return divisions.map((repeat) =>
    unitsWhere(units, (unit) => unit.candidate === candidate && unit.repeat === repeat && unit.share === 1),
  );
}

function unitsWhere(units: readonly FoldUnit[], is: (unit: FoldUnit) => boolean): readonly number[] {
  return [...units.entries()]
    .filter(([, unit]) => is(unit))
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
