import { TrommelError } from "../errors.js";

/**
 * What the deaths of its workers say about a job. BullMQ counts them: a job stalls when its lock lapses, which means that
 * its worker died, or that nothing was heard of it for the `lockDuration` of `workerTimings`.
 *
 * A crash cannot be told from a machine that was taken away, so a worker's death accuses no file. It only has the next
 * worker decode the shard's files one by one, in a process that may die instead of the worker.
 */

/** A file is left out when it was tried this often in a row, alone, and each time its process or its worker died of it. */
export const triesPerFile = 3;

/** Deaths of a job's workers before it is given up, where no file is at fault. */
export const workerDeathsAtMost = 20;

/** Deaths of workers that one file at fault may cost on top: one among others, and one for each try alone. */
const deathsPerFile = triesPerFile + 1;

export type JobTreatment = "together" | "one-by-one" | "give-up";

/**
 * @param deaths of workers that had the job, in its attempt at the run
 * @param blamed files of the shard that are known to be at fault; 0 for jobs that have no files
 */
export function treatmentAfter(deaths: number, blamed: number): JobTreatment {
  if (deaths === 0) return "together";
  return deaths > workerDeathsAtMost + deathsPerFile * blamed ? "give-up" : "one-by-one";
}

/** @param clue what is known of the time before they died, or nothing */
export function tooManyDeaths(job: string, deaths: number, clue = ""): TrommelError {
  return new TrommelError(
    "exhausted",
    `failed to do ${job}: ${deaths} times the process that had it died or was not heard of for seconds${clue}. See in its log and the kernel's whether memory ran out, and give it more or a smaller --concurrency; 'trommel resume' tries again`,
    { retryable: false, context: { deaths } },
  );
}
