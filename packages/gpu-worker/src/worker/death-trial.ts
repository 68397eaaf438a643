import { stageTable, type JobPayload } from "@trommel/common";
import { ShardTrial, tooManyDeaths, treatmentAfter } from "@trommel/common/redis";
import type { Job } from "bullmq";
import type { Redis } from "ioredis";

/**
 * What the earlier deaths of a job's workers mean for this one.
 * @returns the trial of its files, or undefined where there is no reason for one
 * @throws TrommelError `exhausted`, not retryable, where workers died of it too often and no file is at fault
 */
export async function trialAfterDeaths(
  job: Job,
  payload: JobPayload,
  redis: Redis,
): Promise<ShardTrial | undefined> {
  const { stalledCounter: deaths, id: name = payload.stage } = job;
  // A stage that decodes nothing has no file that could be at fault.
  if (!("shard" in payload) || stageTable[payload.stage].runsOn === "copying") {
    if (treatmentAfter(deaths, 0) === "give-up") throw tooManyDeaths(name, deaths);
    return undefined;
  }
  if (deaths === 0) return undefined;
  const trial = new ShardTrial(redis, payload);
  const { blamed, tried } = await trial.state();
  if (treatmentAfter(deaths, blamed.size) === "give-up") {
    throw tooManyDeaths(name, deaths, tried ? ", whichever file it had" : ", before it had decoded any file");
  }
  return trial;
}
