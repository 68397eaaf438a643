import { TrommelError } from "@trommel/common";

/** Releases a reservation; a second call has no effect. */
export type GiveBack = () => void;

interface Waiting {
  readonly sizeBytes: number;
  readonly grant: () => void;
}

/**
 * A weighted semaphore over bytes, first come, first served.
 *
 * Invariants: the reservations never exceed the budget, except for a single one that is larger than the whole budget and is
 * then granted alone; and no request overtakes another, so that small reservations cannot starve a large one.
 */
export class MemoryBudget {
  readonly #budgetBytes: number;
  readonly #queue: Waiting[] = [];
  #reservedBytes = 0;

  /** @throws TrommelError `invalid-argument` unless it is a whole number above zero */
  constructor(budgetBytes: number) {
    if (!Number.isSafeInteger(budgetBytes) || budgetBytes < 1) {
      throw new TrommelError(
        "invalid-argument",
        `cannot set a memory budget of ${budgetBytes} bytes: it must be a whole number above zero`,
      );
    }
    this.#budgetBytes = budgetBytes;
  }

  get reservedBytes(): number {
    return this.#reservedBytes;
  }

  /**
   * Waits until that much is free, in the order of the calls.
   * @throws the signal's reason when it is aborted; then nothing is reserved
   */
  async reserve(sizeBytes: number, signal?: AbortSignal): Promise<GiveBack> {
    signal?.throwIfAborted();
    if (this.#queue.length > 0 || !this.#fits(sizeBytes)) await this.#turn(sizeBytes, signal);
    else this.#reservedBytes += sizeBytes;
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#reservedBytes -= sizeBytes;
      this.#grantNext();
    };
  }

  async #turn(sizeBytes: number, signal: AbortSignal | undefined): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const waiting: Waiting = {
        sizeBytes,
        grant: () => {
          signal?.removeEventListener("abort", giveUp);
          resolve();
        },
      };
      const giveUp = (): void => {
        this.#queue.splice(this.#queue.indexOf(waiting), 1);
        // Smaller requests behind it may fit now.
        this.#grantNext();
        reject(signal?.reason as Error);
      };
      signal?.addEventListener("abort", giveUp, { once: true });
      this.#queue.push(waiting);
    });
  }

  /** Reserves here, not in the waiting task: other requests may arrive before that task continues. */
  #grantNext(): void {
    for (let first = this.#queue[0]; first !== undefined; first = this.#queue[0]) {
      if (!this.#fits(first.sizeBytes)) return;
      this.#queue.shift();
      this.#reservedBytes += first.sizeBytes;
      first.grant();
    }
  }

  #fits(sizeBytes: number): boolean {
    return this.#reservedBytes === 0 || this.#reservedBytes + sizeBytes <= this.#budgetBytes;
  }
}
