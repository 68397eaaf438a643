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

  /** As {@link ClusterMetrics.beginTry}; what the work came to is said with its end. */
  begin(
    payload: JobPayload,
    deaths: number,
  ): (
    outcome: Parameters<ReturnType<ClusterMetrics["beginTry"]>>[0],
    what?: { readonly work?: StageOutcome; readonly code?: string },
  ) => void {
    this.#underWay.add(payload);
    const ended = this.metrics.beginTry(payload.stage, deaths);
    return (outcome, { work, code } = {}) => {
      if (!this.#underWay.delete(payload)) return;
      ended(outcome, code);
      if (work !== undefined) this.#count(payload.stage, work);
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
