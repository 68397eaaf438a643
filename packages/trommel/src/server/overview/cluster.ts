import { workerQueues } from "@trommel/common";
import { listMembers } from "@trommel/common/redis";
import type { JobProducer } from "@trommel/coordinator/run-control";
import { z } from "zod";

/** As `trommel workers --json` gives it. */
const clusterMember = z.looseObject({
  kind: z.string(),
  name: z.string(),
  version: z.string(),
  startedMs: z.number(),
  residentBytes: z.number(),
});
const membersAtMost = 500;

const queue = z.strictObject({
  queue: z.string(),
  workers: z.number().nullable().meta({ description: "Null if Redis does not let its user list clients" }),
  waiting: z.number(),
  active: z.number(),
});

export const cluster = z
  .strictObject({
    redis: z.enum(["none", "answers", "lost"]),
    queues: z.array(queue),
    members: z.array(clusterMember).meta({ description: "Coordinators and workers, 500 at most" }),
    imagesPerSecond: z.number().nullable(),
  })
  .meta({ description: "Queues, their workers, and how much they do" });
export type Cluster = z.infer<typeof cluster>;

/** What waits in each queue and how many workers serve it. */
export async function readQueues(producer: JobProducer): Promise<Cluster["queues"]> {
  return Promise.all(
    workerQueues.map(async (name) => {
      const [{ waiting, active }, workers] = await Promise.all([
        producer.depthOf(name),
        producer.workersOf(name).catch(() => null),
      ]);
      return { queue: name, workers, waiting, active };
    }),
  );
}

/** Who says that it serves; nobody where Redis does not let its user read that. */
export async function readMembers({ redis }: JobProducer): Promise<Cluster["members"]> {
  return (await listMembers(redis).catch(() => [])).slice(0, membersAtMost);
}
