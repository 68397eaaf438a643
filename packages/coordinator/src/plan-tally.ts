import type { Stage } from "@trommel/common";
import type { ClusterMetrics } from "@trommel/common/metrics";

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
