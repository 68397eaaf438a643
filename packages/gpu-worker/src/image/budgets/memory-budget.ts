import { TrommelError } from "@trommel/common";

/** Gives back what was reserved; a second call changes nothing. */
export type GiveBack = () => void;

interface Waiting {
  readonly sizeBytes: number;
  readonly grant: () => void;
}

/**
 * A weighted semaphore over bytes, first come, first served.
 *
 * Invariants: what is reserved never exceeds the budget, except by one reservation that is larger than the whole
 * budget and then stands alone; and nobody overtakes, so that a large reservation is not starved by small ones.
 */
export class MemoryBudget {
  readonly #budgetBytes: number;
  readonly #queue: Waiting[] = [];
  #reservedBytes = 0;

  /** @throws TrommelError `invalid-argument` where it is no whole number above zero */
  constructor(budgetBytes: number) {
    if (!Number.isSafeInteger(budgetBytes) || budgetBytes < 1) {
      throw new TrommelError(
        "invalid-argument",
        `failed to set a memory budget of ${budgetBytes} bytes: it must be a whole number above zero`,
      );
    }
    this.#budgetBytes = budgetBytes;
  }

  get reservedBytes(): number {
    return this.#reservedBytes;
  }

  /**
   * Waits until that much is free, in the order of the calls.
   * @throws the signal's reason once it is aborted; nothing is reserved then
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
        // It may have stood before smaller ones that fit.
        this.#grantNext();
        reject(signal?.reason as Error);
      };
      signal?.addEventListener("abort", giveUp, { once: true });
      this.#queue.push(waiting);
    });
  }

  /** Reserved here and not by whoever waits, for others may ask before that one goes on. */
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
