import { jobId, type JobPayload, type QueueName } from "@trommel/common";
import { endMoveOfShares, readShares, reserveShares } from "@trommel/common/redis";
import type { Job, Queue } from "bullmq";
import type { Redis } from "ioredis";

/** Jobs whose tags are read with one request. */
const jobsAtOnce = 1000;

/** A queue, and how long its answers are waited for. */
export interface SharedQueue {
  readonly redis: Redis;
  readonly name: QueueName;
  readonly queue: Queue;
  readonly bounded: <T>(work: Promise<T>) => Promise<T>;
}

/**
 * Queues jobs of a run in their places among those of other runs. It may be interrupted anywhere and repeated: places are reserved once. If
 * another coordinator moves the origin of the tags between the reservation and the jobs, these are moved afterwards.
 * @param jobs of one stage and attempt
 * @param add queues them with these options; those that are queued already stay as they are
 */
export async function addWithShares(
  shared: SharedQueue,
  jobs: readonly JobPayload[],
  cost: number,
  add: (shares: readonly { readonly priority: number }[]) => Promise<void>,
): Promise<void> {
  const { redis, name, bounded, queue } = shared;
  const [some, ...others] = jobs;
  if (some === undefined) return add([]);
  const reserved = await bounded(reserveShares(redis, [some, ...others], cost));
  if (reserved.mustMove) await moveWaiting(shared);
  await add(reserved.priorities.map((priority) => ({ priority })));
  const { origin } = await bounded(readShares(redis, name, []));
  if (origin === reserved.origin && !reserved.someKnown) return;
  const queued = jobs.map((job) => queue.getJob(jobId(job)) as Promise<Job | undefined>);
  await movePriorities(
    shared,
    (await bounded(Promise.all(queued))).filter((job) => job !== undefined),
  );
}

/** Counts the priorities of all jobs from the origin of this moment: those that run or wait for their next try too may wait again. */
async function moveWaiting(shared: SharedQueue): Promise<void> {
  const { redis, name, bounded, queue } = shared;
  const { origin } = await bounded(readShares(redis, name, []));
  const jobs = await bounded(queue.getJobs(["prioritized", "delayed", "active"], 0, -1, true));
  await movePriorities(
    shared,
    jobs.filter((job: Job | undefined) => job !== undefined),
  );
  await bounded(endMoveOfShares(redis, name, origin));
}

async function movePriorities(
  { redis, name, bounded, queue }: SharedQueue,
  jobs: readonly Job[],
): Promise<void> {
  const withShare = jobs.filter(({ priority }) => priority > 0);
  for (let start = 0; start < withShare.length; start += jobsAtOnce) {
    const some = withShare.slice(start, start + jobsAtOnce);
    const ids = some.map(({ id = "" }) => id);
    const { priorities } = await bounded(readShares(redis, name, ids));
    for (const [at, job] of some.entries()) {
      const priority = priorities[at] ?? job.priority;
      if (priority === job.priority) continue;
      await bounded(job.changePriority({ priority })).catch(async (thrown: unknown) => {
        // It is done meanwhile.
        if ((await bounded(queue.getJob(job.id ?? ""))) !== undefined) throw thrown;
      });
    }
  }
}
