import type { GiveBack } from "./memory-budget.js";

interface Waiting {
  readonly order: number;
  readonly grant: () => void;
}

/**
 * A semaphore that grants the waiting request of the lowest order first; among equals first come, first served.
 *
 * Shards are numbered in the order in which they start, so the oldest has precedence and the next one uses what it leaves
 * free. With equal shares all shards would end at the same moment, and nothing would be decoded while they are committed.
 */
export class OrderedTurns {
  #free: number;
  readonly #queue: Waiting[] = [];

  constructor(atOnce: number) {
    this.#free = atOnce;
  }

  /** @throws the signal's reason when it is aborted; then no turn is taken */
  async take(order: number, signal?: AbortSignal): Promise<GiveBack> {
    signal?.throwIfAborted();
    if (this.#free > 0) this.#free -= 1;
    else await this.#wait(order, signal);
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      const next = this.#queue.shift();
      if (next === undefined) this.#free += 1;
      else next.grant();
    };
  }

  async #wait(order: number, signal: AbortSignal | undefined): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const waiting: Waiting = {
        order,
        grant: () => {
          signal?.removeEventListener("abort", giveUp);
          resolve();
        },
      };
      const giveUp = (): void => {
        this.#queue.splice(this.#queue.indexOf(waiting), 1);
        reject(signal?.reason as Error);
      };
      signal?.addEventListener("abort", giveUp, { once: true });
      const later = this.#queue.findIndex((other) => other.order > order);
      this.#queue.splice(later === -1 ? this.#queue.length : later, 0, waiting);
    });
  }
}
