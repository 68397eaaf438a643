import { toTrommelError, type Progress, type Run, type TuningProgress, type Work } from "../index.js";
import { formatSeconds } from "./progress-display.js";

/** A line for each round of tuning that ends while a run is followed, from the one that has ended last. */
export class RoundLines {
  #merged = 0;
  #shown: number | undefined;

  async *next(work: Work, stages: readonly Pick<Progress, "stage" | "done">[]): AsyncGenerator<string> {
    const merged = stages.find(({ stage }) => stage === "merge")?.done ?? 0;
    if (!isRun(work) || merged <= this.#merged) return;
    const tuning = await tuningIfRead(work);
    if (tuning === undefined) return;
    this.#merged = merged;
    const from = this.#shown ?? Math.max(0, tuning.figures.length - 1);
    this.#shown = tuning.figures.length;
    for (let round = from; round < tuning.figures.length; round += 1) yield describeRound(tuning, round);
  }
}

export function isRun(work: Work): work is Run {
  return work.kind === "run";
}

/** @param round from 0; the time left is said of the last one */
export function describeRound({ figures, rounds, secondsLeft }: TuningProgress, round: number): string {
  const of = figures[round];
  if (of === undefined) return "";
  const { epoch, training, heldOut } = of;
  const measured =
    heldOut === null
      ? `training accuracy ${training.accuracy.toFixed(4)}`
      : `held-out loss ${heldOut.loss.toFixed(4)}, accuracy ${heldOut.accuracy.toFixed(4)}`;
  const isLast = round === figures.length - 1 && figures.length < rounds;
  const left =
    !isLast || secondsLeft === undefined ? "" : `; about ${formatSeconds(secondsLeft)} of tuning left`;
  return `round ${round + 1} of ${rounds}, epoch ${epoch}: training loss ${training.loss.toFixed(4)}, ${measured}${left}`;
}

/** It is only shown: while the store fails it is left for the next time that progress is shown. */
async function tuningIfRead(run: Run): Promise<TuningProgress | undefined> {
  try {
    return await run.tuning();
  } catch (thrown) {
    if (toTrommelError(thrown).retryable) return undefined;
    throw thrown;
  }
}
