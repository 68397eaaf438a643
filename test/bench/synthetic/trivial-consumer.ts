/**
 * Takes the jobs of every worker queue and does nothing, so that a plan finds room for the next ones. Says `ready` once it serves, and
 * ends when its channel closes. Its options come as JSON in the first argument.
 */
import { queuePrefix, workerQueues, workerTimings } from "@trommel/common";
import { connectRedis } from "#common/jobs/connection/connect-redis";
import { Worker } from "bullmq";

export interface TrivialConsumerOptions {
  readonly redisUrl: string;
}

const options = JSON.parse(process.argv[2] ?? "") as TrivialConsumerOptions;
const workers = workerQueues.map(
  (queue) =>
    new Worker(queue, () => Promise.resolve(null), {
      connection: connectRedis(options.redisUrl),
      prefix: queuePrefix,
      concurrency: 4,
      drainDelay: 1,
      ...workerTimings,
    }),
);
for (const worker of workers) worker.on("error", (error) => console.error(error.message));
await Promise.all(workers.map((worker) => worker.waitUntilReady()));
process.once("disconnect", () => process.exit(0));
process.send?.("ready");
