import type { ClusterMetrics } from "@trommel/common/metrics";
import { listMembers } from "@trommel/common/redis";
import type { JobProducer } from "./queueing/job-producer.js";

/** Sets the gauges that only Redis knows: the queues, and who serves. */
export async function lookAtCluster(producer: JobProducer, metrics: ClusterMetrics): Promise<void> {
  metrics.redisUp.set(producer.redis.status === "ready" ? 1 : 0);
  for (const { queue, state, jobs } of await producer.queueDepths())
    metrics.queueJobs.set({ queue, state }, jobs);
  const members = await listMembers(producer.redis);
  metrics.members.reset();
  for (const { kind, version } of members) metrics.members.inc({ kind, version });
}
