import { TrommelError } from "../errors.js";

/**
 * What the deaths of its workers mean for a job. BullMQ counts them: a job stalls when its lock expires, which means that its
 * worker died, or did not renew the lock for the `lockDuration` of `workerTimings`.
 *
 * A crash looks the same as a machine that was switched off, so a worker's death blames no file. It only makes the next worker
 * decode the shard's files one by one, in a process that may die instead of the worker.
 */

/** A file is left out after so many tries in a row, alone, each of which killed its process or its worker. */
export const triesPerFile = 3;

/** Deaths of a job's workers before the job is given up, if no file is at fault. */
export const workerDeathsAtMost = 20;

/** Further deaths that one file at fault may cause: one among others, and one for each try alone. */
const deathsPerFile = triesPerFile + 1;

export type JobTreatment = "together" | "one-by-one" | "give-up";

/**
 * @param deaths how many workers died that had the job, in this attempt
 * @param blamed files of the shard that are known to be at fault; 0 for jobs that have no files
 */
export function treatmentAfter(deaths: number, blamed: number): JobTreatment {
  if (deaths === 0) return "together";
  return deaths > workerDeathsAtMost + deathsPerFile * blamed ? "give-up" : "one-by-one";
}

/** @param clue what is known of the time before they died, or an empty string */
export function tooManyDeaths(job: string, deaths: number, clue = ""): TrommelError {
  return new TrommelError(
    "exhausted",
    `cannot do ${job}: ${deaths} times the process that had it died or was not heard of for seconds${clue}. See in its log and the kernel's whether memory ran out, and give it more or a smaller --concurrency; 'trommel resume' tries again`,
    { retryable: false, context: { deaths } },
  );
}
