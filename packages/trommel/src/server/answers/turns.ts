import { TrommelError } from "@trommel/common";

/** Lets a few pieces of work run at once. The others wait for their turn, in order. */
export class Turns {
  #free: number;
  readonly #waiting: (() => void)[] = [];
  readonly #options: { readonly atOnce: number; readonly waitingAtMost: number; readonly doing: string };

  /** @param options.doing completes "cannot …" in the message, such as "show a picture" */
  constructor(options: { readonly atOnce: number; readonly waitingAtMost: number; readonly doing: string }) {
    this.#options = options;
    this.#free = options.atOnce;
  }

  /** @throws TrommelError `unavailable`, retryable, if too many wait; what the work throws */
  async run<T>(work: () => Promise<T>): Promise<T> {
    const { waitingAtMost, doing } = this.#options;
    if (this.#free > 0) this.#free -= 1;
    else if (this.#waiting.length < waitingAtMost)
      await new Promise<void>((turn) => this.#waiting.push(turn));
    else
      throw new TrommelError(
        "unavailable",
        `cannot ${doing} now: ${waitingAtMost} other requests wait for the same. Try again`,
        { retryable: true },
      );
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free += 1;
      else next();
    }
  }
}
