/** Deaths at once, in a row and without a job, before a worker is not started again. */
const idleDeathsAtMost = 20;
/** A worker that lived for longer did not die at once. */
export const soonMs = 60_000;
const firstDelayMs = 100;
const longestDelayMs = 5_000;

/**
 * When a worker that ended without being asked is started again. Deaths with a job are not counted: how many of those
 * there may be is a matter of the job, and ends with it.
 * @param worker.served whether it or a predecessor ever served; what never did cannot be helped by another start
 * @param worker.idleDeaths it and its predecessors that died in a row, each within {@link soonMs} and without having been
 *   given a job
 * @returns milliseconds from now, or undefined for never
 */
export function restartAfter(worker: {
  readonly served: boolean;
  readonly idleDeaths: number;
}): number | undefined {
  const { served, idleDeaths } = worker;
  if (!served || idleDeaths >= idleDeathsAtMost) return undefined;
  return idleDeaths === 0 ? 0 : Math.min(firstDelayMs * 2 ** (idleDeaths - 1), longestDelayMs);
}
