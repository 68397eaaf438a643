import type { JobPayload, Stage } from "@trommel/common";
import { unitOf } from "@trommel/common/jobs";
import type { ClusterMetrics } from "@trommel/common/metrics";
import type { ClusterMember } from "@trommel/common/redis";
import type { StageDevice, StageOutcome } from "../stages/context.js";

/** What the rates are means of. */
const windowMs = 10_000;

type Looked = Pick<
  NonNullable<ClusterMember["worker"]>,
  "underWay" | "images" | "imagesPerSecond" | "busyShare"
>;

interface Sample {
  readonly atMs: number;
  readonly images: number;
  readonly idleMs: number;
}

/** How a try of a job ended. */
export type TryOutcome = "done" | "failed" | "retried" | "handed-back" | "cancelled";

/** What this worker works on and has done, for those who look at it; it decides nothing. */
export class WorkTally {
  readonly metrics: ClusterMetrics;
  readonly #device: Pick<StageDevice, "idleMs" | "sessionCount">;
  readonly #underWay = new Set<JobPayload>();
  readonly #samples: Sample[] = [];
  #images = 0;

  constructor(device: Pick<StageDevice, "idleMs" | "sessionCount">, metrics: ClusterMetrics) {
    this.#device = device;
    this.metrics = metrics;
    this.#samples.push(this.#sample());
  }

  /** @param deaths workers that had the job before and died, or seemed to. @returns to be called once, when the try has ended */
  begin(
    payload: JobPayload,
    deaths: number,
  ): (outcome: TryOutcome, what?: { readonly work?: StageOutcome; readonly code?: string }) => void {
    const { stage } = payload;
    const { metrics } = this;
    this.#underWay.add(payload);
    metrics.jobsUnderWay.inc({ stage });
    if (deaths > 0) metrics.takeOvers.inc({ stage });
    const since = performance.now();
    return (outcome, { work, code } = {}) => {
      if (!this.#underWay.delete(payload)) return;
      metrics.jobsUnderWay.dec({ stage });
      metrics.jobSeconds.observe({ stage, outcome }, (performance.now() - since) / 1000);
      if (work !== undefined) this.#count(stage, work);
      if (code !== undefined && outcome !== "cancelled") metrics.errors.inc({ stage, code });
    };
  }

  read(stage: Stage, bytes: number): void {
    this.metrics.readBytes.inc({ stage }, bytes);
  }

  /** Rates are those since the oldest look of the last seconds. */
  look(): Looked {
    const now = this.#sample();
    while (this.#samples.length > 1 && now.atMs - (this.#samples[0]?.atMs ?? 0) > windowMs)
      this.#samples.shift();
    const [since = now] = this.#samples;
    this.#samples.push(now);
    const elapsedMs = Math.max(1, now.atMs - since.atMs);
    const idle = (now.idleMs - since.idleMs) / this.#device.sessionCount / elapsedMs;
    return {
      underWay: [...this.#underWay].map((payload) => {
        const unit = unitOf(payload);
        return { stage: payload.stage, run: payload.id, ...(unit === undefined ? {} : { unit }) };
      }),
      images: this.#images,
      imagesPerSecond: Math.round(((now.images - since.images) / elapsedMs) * 10_000) / 10,
      busyShare: Math.round(Math.min(1, Math.max(0, 1 - idle)) * 1000) / 1000,
    };
  }

  #count(stage: Stage, { images, reused = 0, reasons = {} }: StageOutcome): void {
    this.#images += images;
    this.metrics.images.inc({ stage }, images);
    if (reused > 0) this.metrics.reusedImages.inc({ stage }, reused);
    for (const [reason, count] of Object.entries(reasons))
      this.metrics.failedImages.inc({ stage, reason }, count);
  }

  #sample(): Sample {
    return { atMs: performance.now(), images: this.#images, idleMs: this.#device.idleMs };
  }
}
