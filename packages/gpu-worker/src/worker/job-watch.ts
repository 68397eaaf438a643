import { TrommelError, type JobPayload, type LiveRun } from "@trommel/common";
import { claimFeature, releaseFeature, type FeatureClaim } from "@trommel/common/redis";
import type { Job } from "bullmq";
import type { Redis } from "ioredis";
import type { DeviceStageContext, WorkerContext } from "../stages/context.js";
import type { WorkTally } from "./work-tally.js";

/** How often a job looks whether its run was cancelled, and tells followers how far it is. */
const heartbeatMs = 1000;

interface JobWatchOptions extends WorkerContext {
  readonly tally: Pick<WorkTally, "read">;
  readonly redis: Redis;
  /** Aborts when the worker has to go. */
  readonly shutdown: AbortSignal;
}

/** Watches over one job: aborts it when its run is over, writes its progress to Redis. */
export class JobWatch {
  readonly context: Omit<DeviceStageContext, "trial" | "order">;
  readonly #abort = new AbortController();
  readonly #timer: NodeJS.Timeout;
  readonly #beat: () => Promise<void>;
  #images = 0;
  #note = "";
  #units: { done: number; total: number } | undefined;
  #beating: Promise<void> = Promise.resolve();
  #claimed: FeatureClaim | undefined;
  readonly #redis: Redis;

  constructor(job: Job, payload: JobPayload, liveRun: LiveRun, options: JobWatchOptions) {
    const { attempt, stage } = payload;
    this.#redis = options.redis;
    this.context = {
      store: options.store,
      device: options.device,
      tuner: options.tuner,
      engine: options.engine,
      threads: options.threads,
      viewsPerBatch: options.viewsPerBatch,
      budgets: options.budgets,
      keptImages: options.keptImages,
      streamImages: options.streamImages,
      sources: options.sources,
      featureIndexes: options.featureIndexes,
      log: options.log,
      signal: AbortSignal.any([this.#abort.signal, options.shutdown]),
      onImages: (images) => (this.#images = images),
      onBytes: (bytes) => options.tally.read(stage, bytes),
      onNote: (note) => (this.#note = note),
      onUnits: (done, total) => (this.#units = { done, total }),
      claimFeature: async (featureKey) => {
        const claim = { storeUrl: options.store.url, featureKey, jobId: job.id ?? "" };
        const isOurs = await claimFeature(options.redis, claim);
        if (isOurs) this.#claimed = claim;
        return isOurs;
      },
    };
    this.#beat = async () => {
      if (await liveRun.isOver(attempt)) {
        this.#abort.abort(new TrommelError("cancelled", `${payload.id} was cancelled`));
      }
      if (this.#claimed !== undefined) await claimFeature(options.redis, this.#claimed);
      if (this.#images > 0) await job.updateProgress(this.#images);
      if (this.#note !== "") await liveRun.setNote(attempt, stage, this.#note);
      if (this.#units !== undefined)
        await liveRun.setUnits(attempt, stage, this.#units.done, this.#units.total);
    };
    this.#timer = setInterval(() => {
      this.#beating = this.#beating.then(this.#beat).catch((thrown: unknown) => {
        options.log.debug({ reason: String(thrown) }, "a heartbeat was lost");
      });
    }, heartbeatMs);
  }

  /** The last beat shows how far it came; images that are committed are counted by the caller. */
  async stop({ done }: { readonly done: boolean }): Promise<void> {
    clearInterval(this.#timer);
    await this.#beating;
    const claim = this.#claimed;
    this.#claimed = undefined;
    // If that fails, the claim expires.
    if (claim !== undefined) await releaseFeature(this.#redis, claim).catch(() => undefined);
    if (done && this.#note === "" && this.#units === undefined) return;
    await this.#beat().catch(() => undefined);
  }
}
