/**
 * SIGTERM and SIGINT, from the moment that it is made: the first asks to finish what is under way, the second to hand it
 * back at once. Nothing is lost either way; `drain` decides the exit code.
 */
export class StopSignals {
  readonly #drain = new AbortController();
  readonly #handBack = new AbortController();

  /** @param quiet writes nothing: the command that started a local cluster says what happens */
  constructor(quiet: boolean) {
    const stop = (): void => {
      if (this.#drain.signal.aborted) this.handBack();
      else if (!quiet)
        process.stderr.write(`worker ${process.pid}: stopping; again hands its shards back at once\n`);
      this.#drain.abort(new Error("the worker received a signal to stop"));
    };
    process.on("SIGTERM", stop);
    process.on("SIGINT", stop);
  }

  /** Aborts at the first signal. */
  get drain(): AbortSignal {
    return this.#drain.signal;
  }

  /** Aborts when jobs under way have to be handed back. */
  get handedBack(): AbortSignal {
    return this.#handBack.signal;
  }

  handBack(): void {
    this.#handBack.abort(new Error("the worker hands its jobs back"));
  }
}
