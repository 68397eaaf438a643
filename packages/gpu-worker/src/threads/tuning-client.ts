import type { RoundFigures } from "@trommel/common/artefacts";
import { ThreadClient } from "../rpc/thread-client.js";
import type { StageTuner, TunedPart } from "../stages/context.js";
import type { StepFigures, TuningBatch } from "../tuning/engine/tuner.js";
import type { TuningRequests, TuningThreadData } from "./tuning-thread.js";

/** The thread that tunes, as the stage sees it. A worker tunes one replica at a time. */
export class TuningClient implements StageTuner {
  readonly #thread: ThreadClient<TuningRequests, TuningThreadData>;

  constructor(data: TuningThreadData) {
    this.#thread = new ThreadClient(new URL("./tuning-thread.js", import.meta.url), data);
  }

  async open(part: TunedPart): Promise<{ readonly notice: string | null }> {
    return await this.#thread.call("open", part);
  }

  async step(batch: TuningBatch, learningRate: number): Promise<StepFigures> {
    const transfer = [batch.pixels.buffer as ArrayBuffer];
    return await this.#thread.call("step", { batch, learningRate }, { transfer });
  }

  async commit(training: RoundFigures["training"]): Promise<void> {
    await this.#thread.call("commit", training);
  }

  async close(): Promise<void> {
    await this.#thread.call("close", null);
  }

  async stop(): Promise<void> {
    await this.#thread.stop();
  }
}
