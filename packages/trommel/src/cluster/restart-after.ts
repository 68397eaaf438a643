/** After this many immediate deaths in a row without a job a worker is not restarted. */
const idleDeathsAtMost = 20;
/** A worker that lived longer did not die immediately. */
export const soonMs = 60_000;
const firstDelayMs = 100;
const longestDelayMs = 5_000;

/**
 * When a worker that ended unexpectedly is restarted. Deaths with a job are not counted: their number is limited
 * per job.
 * @param worker.served whether it or a predecessor ever served; one that never did will not be helped by another start
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
