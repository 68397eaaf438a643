import type { TrommelError } from "@trommel/common";
import { toTrommelError } from "@trommel/common";
import type { RunResult, RunStatus } from "@trommel/coordinator/run-control";
import { cancelled } from "../abortable.js";
import { follow, type FollowOptions } from "./follow.js";

/** One watch over a run that any number of readers share: its result, and each status as it comes. */
export class Follower {
  readonly #result: Promise<RunResult>;
  readonly #cluster: boolean;
  #latest: RunStatus | undefined;
  #ended = false;
  #error: TrommelError | undefined;
  #changed = deferred();

  constructor(options: Omit<FollowOptions, "onStatus">) {
    this.#cluster = options.cluster !== undefined;
    const onStatus = (status: RunStatus): void => {
      this.#latest = status;
      this.#wake();
    };
    this.#result = follow({ ...options, onStatus }).catch((thrown: unknown) => {
      this.#error = toTrommelError(thrown);
      throw this.#error;
    });
    // Readers may come later, or never.
    this.#result
      .catch(() => undefined)
      .finally(() => {
        this.#ended = true;
        this.#wake();
      });
  }

  /** What ended a run whose workers are the handle's own: without them nobody works on it. */
  get endedHere(): TrommelError | undefined {
    return this.#cluster ? this.#error : undefined;
  }

  /** @throws TrommelError what ended the run; `cancelled` once `signal` aborts, which ends the wait alone */
  result(signal?: AbortSignal): Promise<RunResult> {
    return signal === undefined ? this.#result : Promise.race([this.#result, untilAborted(signal)]);
  }

  /** Resolves when the run has ended, however it ended. */
  async ended(): Promise<void> {
    await this.#result.catch(() => undefined);
  }

  /** Each status as it comes, the newest where the reader is slow, and the last one in any case. */
  async *statuses(signal?: AbortSignal): AsyncGenerator<RunStatus> {
    const aborted = signal === undefined ? undefined : untilAborted(signal);
    let shown: RunStatus | undefined;
    for (;;) {
      const changed = this.#changed.promise;
      const ended = this.#ended;
      if (this.#latest !== undefined && this.#latest !== shown) {
        shown = this.#latest;
        yield shown;
        continue;
      }
      if (ended) return;
      await (aborted === undefined ? changed : Promise.race([changed, aborted]));
    }
  }

  #wake(): void {
    this.#changed.resolve();
    this.#changed = deferred();
  }
}

/** Rejects with `cancelled` once the signal aborts. */
function untilAborted(signal: AbortSignal): Promise<never> {
  const aborted = new Promise<never>((_, reject) => {
    const leave = (): void => reject(cancelled(signal));
    if (signal.aborted) leave();
    else signal.addEventListener("abort", leave, { once: true });
  });
  aborted.catch(() => undefined);
  return aborted;
}

interface Deferred {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
}

function deferred(): Deferred {
  let resolve: () => void = () => undefined;
  const promise = new Promise<void>((done) => (resolve = done));
  return { promise, resolve };
}
