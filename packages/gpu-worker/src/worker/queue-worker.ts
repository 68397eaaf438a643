import { queuePrefix, workerTimings, type WorkerQueue } from "@trommel/common";
import { memberName } from "@trommel/common/redis";
import { tracingOptions } from "@trommel/common/tracing";
import { Worker, type Processor } from "bullmq";
import type { Redis } from "ioredis";

/** Takes the jobs of one queue, so many at a time, once it is run. */
export function createQueueWorker(
  queue: WorkerQueue,
  processor: Processor,
  { redis, concurrency }: { readonly redis: Redis; readonly concurrency: number },
): Worker {
  return new Worker(queue, processor, {
    connection: redis,
    prefix: queuePrefix,
    // Each job says which process has it (`pb` in its hash).
    name: memberName(),
    concurrency,
    // See runWhenReady.
    autorun: false,
    drainDelay: 1,
    ...tracingOptions(),
    ...workerTimings,
  });
}
