import type { Stage } from "@trommel/common";
import type { ClusterMetrics } from "@trommel/common/metrics";
import { listMembers } from "@trommel/common/redis";
import type { JobProducer } from "./run-control/job-producer.js";

/** Counts the plans of a coordinator. */
export class PlanTally {
  readonly metrics: ClusterMetrics;

  constructor(metrics: ClusterMetrics) {
    this.metrics = metrics;
  }

  /** @param deaths coordinators that had the plan before and died. @returns to be called when the try has ended */
  begin(
    stage: Stage,
    deaths: number,
  ): (outcome: "done" | "failed" | "retried" | "handed-back" | "cancelled", code?: string) => void {
    const { metrics } = this;
    metrics.jobsUnderWay.inc({ stage });
    if (deaths > 0) metrics.takeOvers.inc({ stage });
    const since = performance.now();
    return (outcome, code) => {
      metrics.jobsUnderWay.dec({ stage });
      metrics.jobSeconds.observe({ stage, outcome }, (performance.now() - since) / 1000);
      if (code !== undefined && outcome !== "cancelled") metrics.errors.inc({ stage, code });
    };
  }
}

/** Sets the gauges that only Redis knows: the queues, and who serves. */
export async function lookAtCluster(producer: JobProducer, metrics: ClusterMetrics): Promise<void> {
  metrics.redisUp.set(producer.redis.status === "ready" ? 1 : 0);
  for (const { queue, state, jobs } of await producer.queueDepths())
    metrics.queueJobs.set({ queue, state }, jobs);
  const members = await listMembers(producer.redis);
  metrics.members.reset();
  for (const { kind, version } of members) metrics.members.inc({ kind, version });
}
