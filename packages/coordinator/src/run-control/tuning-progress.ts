import { runKeys, type ObjectStore } from "@trommel/common";
import { findTuningPlan, readRoundFigures, type RoundFigures } from "@trommel/common/artefacts";
import type { Subject } from "./subject.js";

/** Gaps between rounds that say how long the next ones take. */
const gapsAtMost = 10;

/** How far a tuning is. */
export interface TuningProgress {
  /** Those of the merged rounds, in order. */
  readonly figures: readonly RoundFigures[];
  /** Rounds altogether; early stopping may end before. */
  readonly rounds: number;
  /** By the rounds that were merged last; undefined before the second. */
  readonly secondsLeft: number | undefined;
}

/** How far the tuning of a run is; undefined before its rounds are planned, and for what has none. */
export async function readTuningProgress(
  store: ObjectStore,
  subject: Subject,
): Promise<TuningProgress | undefined> {
  if (subject.kind !== "run" || subject.config.recipe.tune === null) return undefined;
  const plan = await findTuningPlan(store, subject.id);
  if (plan === undefined) return undefined;
  const { rounds } = plan.rounds;
  const figures = await readRoundFigures(store, subject.id);
  const seconds: number[] = [];
  for await (const { modifiedSeconds } of store.list(runKeys(subject.id).tuning.rounds))
    if (modifiedSeconds !== undefined) seconds.push(modifiedSeconds);
  return { figures, rounds, secondsLeft: secondsLeft(seconds, rounds) };
}

/**
 * Every further round is taken to last as long as the median gap, so that a pause between two does not count.
 * @param seconds when each round was merged, in order
 */
export function secondsLeft(seconds: readonly number[], rounds: number): number | undefined {
  const last = seconds.slice(-1 - gapsAtMost);
  const gaps = last.slice(1).map((second, at) => second - (last[at] as number));
  if (gaps.length === 0) return undefined;
  gaps.sort((a, b) => a - b);
  return (rounds - seconds.length) * (gaps[Math.floor(gaps.length / 2)] as number);
}
