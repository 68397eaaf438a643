import { ThreadClient } from "../rpc/thread-client.js";
import type { StepProbe, StepTimes } from "@trommel/common/jobs";
import type { OpenTuner, StageTuner, TunedPart } from "../stages/context.js";
import type { TuningRequests, TuningThreadData } from "./tuning-thread.js";

/** A step of a large network takes seconds. */
const stopPatienceMs = 10_000;

/** The thread that tunes, as the stage sees it. A worker tunes one replica at a time. */
export class TuningClient implements StageTuner {
  readonly #thread: ThreadClient<TuningRequests, TuningThreadData>;

  constructor(data: TuningThreadData) {
    this.#thread = new ThreadClient(new URL("./tuning-thread.js", import.meta.url), data, stopPatienceMs);
  }

  async open(part: TunedPart): Promise<OpenTuner> {
    const thread = this.#thread;
    const { ticket, notices } = await thread.call("open", part);
    return {
      notices,
      step: (batch, learningRate) => {
        const transfer = [batch.pixels.buffer as ArrayBuffer];
        return thread.call("step", { ticket, batch, learningRate }, { transfer });
      },
      commit: async (training) => void (await thread.call("commit", { ticket, training })),
      close: async () => void (await thread.call("close", ticket)),
    };
  }

  async measure(probe: StepProbe): Promise<Omit<StepTimes, "drainMs">> {
    return this.#thread.call("measure", probe);
  }

  async stop(): Promise<void> {
    await this.#thread.stop();
  }
}
