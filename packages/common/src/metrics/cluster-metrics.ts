import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";
import { toTrommelError } from "../errors.js";
import type { Stage } from "../jobs/pipeline.js";
import { readMemoryLimit } from "../machine/memory-limit.js";

/** How a try of a job ended. */
type TryOutcome = "done" | "failed" | "retried" | "handed-back" | "cancelled";

/**
 * How a try ended that threw. A cancelled run has no error, and neither has one that is paused.
 * @param isFinal whether the queue tries it no more
 */
export function outcomeOf(thrown: unknown, isFinal: boolean): TryOutcome {
  if (toTrommelError(thrown).code === "cancelled") return "cancelled";
  return isFinal ? "failed" : "retried";
}

/**
 * What a coordinator, worker or dashboard tells Prometheus. Names and labels are a contract: dashboards and alert rules in
 * `infra/monitoring/` are written against them, and a test compares the two. Labels are stages, reasons and queues, whose number is
 * fixed, and never runs or keys.
 */
export class ClusterMetrics {
  readonly registry = new Registry();

  readonly images = this.#counter("trommel_images_total", "Images of the jobs that ended", ["stage"]);
  readonly failedImages = this.#counter(
    "trommel_failed_images_total",
    "Images of the jobs that ended which have a reason in errors.jsonl",
    ["stage", "reason"],
  );
  readonly reusedImages = this.#counter(
    "trommel_reused_images_total",
    "Images whose features were in the store already",
    ["stage"],
  );
  readonly readBytes = this.#counter("trommel_read_bytes_total", "Bytes of images that were read", ["stage"]);
  readonly jobSeconds = new Histogram({
    name: "trommel_job_duration_seconds",
    help: "How long a try of a job took, by how it ended: done, failed, retried, cancelled (or paused) or handed-back",
    labelNames: ["stage", "outcome"] as const,
    buckets: [0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600],
    registers: [this.registry],
  });
  readonly takeOvers = this.#counter(
    "trommel_job_takeovers_total",
    "Jobs that this worker took over from one that died or lost its lock",
    ["stage"],
  );
  readonly errors = this.#counter("trommel_job_errors_total", "Tries of jobs that ended with an error", [
    "stage",
    "code",
  ]);
  readonly deviceBusySeconds = this.#counter(
    "trommel_device_busy_seconds_total",
    "Time in which the device had something to compute, as a mean of its sessions",
    ["device", "provider", "engine"],
  );
  readonly queueJobs = this.#gauge(
    "trommel_queue_jobs",
    "Jobs of a queue; coordinators and dashboards tell it",
    ["queue", "state"],
  );
  readonly members = this.#gauge(
    "trommel_members",
    "Coordinators and workers that serve; coordinators and dashboards tell it",
    ["kind", "version"],
  );
  readonly jobsUnderWay = this.#gauge("trommel_jobs_under_way", "Jobs that this process works on", ["stage"]);
  readonly redisUp = this.#gauge("trommel_redis_up", "1 while Redis answers this process, else 0", []);
  readonly requests = this.#counter("trommel_http_requests_total", "Requests that the dashboard answered", [
    "method",
    "route",
    "status",
  ]);
  readonly watchers = this.#gauge("trommel_watchers", "Streams of events that the dashboard sends", []);
  readonly build = this.#gauge("trommel_build_info", "Always 1; the labels say what this process is", [
    "version",
    "kind",
  ]);

  constructor() {
    collectDefaultMetrics({ register: this.registry });
    const limit = this.#gauge(
      "trommel_memory_limit_bytes",
      "What the container may take; absent without a limit",
      [],
    );
    const bytes = readMemoryLimit();
    if (bytes !== undefined) limit.set(bytes);
    else this.registry.removeSingleMetric("trommel_memory_limit_bytes");
  }

  /**
   * Counts a try of a job.
   * @param deaths processes that had the job before and died, or seemed to
   * @returns to be called once, when the try has ended, with the error's code if it has one
   */
  beginTry(stage: Stage, deaths: number): (outcome: TryOutcome, code?: string) => void {
    this.jobsUnderWay.inc({ stage });
    if (deaths > 0) this.takeOvers.inc({ stage });
    const since = performance.now();
    return (outcome, code) => {
      this.jobsUnderWay.dec({ stage });
      this.jobSeconds.observe({ stage, outcome }, (performance.now() - since) / 1000);
      if (code !== undefined && outcome !== "cancelled") this.errors.inc({ stage, code });
    };
  }

  #counter<Label extends string>(name: string, help: string, labelNames: readonly Label[]): Counter<Label> {
    return new Counter({ name, help, labelNames: [...labelNames], registers: [this.registry] });
  }

  #gauge<Label extends string>(name: string, help: string, labelNames: readonly Label[]): Gauge<Label> {
    return new Gauge({ name, help, labelNames: [...labelNames], registers: [this.registry] });
  }
}
