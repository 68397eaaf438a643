import { setTimeout as sleep } from "node:timers/promises";
import { messageOf, TrommelError } from "../../errors.js";
import { checkRedis } from "./check-redis.js";
import { describeRedis } from "./redis-url.js";

/** For how long a refusal must stay: a user's rights are rewritten, or a primary changes, in less. */
const graceMs = 3000;
const pauseMs = 500;
/** Refusals in a row that a fresh login does not meet: something is refused that the check does not try. */
const unexplainedAtMost = 5;
/** A refusal this long after the last one begins a new row. */
const rowMs = 30_000;

/**
 * Decides whether a refusal that a connection met stays. It looks with a fresh login, because the address may lead to another
 * server by now and the user may have other rights. Any number of refusals cost one look at a time.
 */
export class RefusalWatch {
  readonly #url: string;
  readonly #onStays: (error: TrommelError) => void;
  #looking = false;
  #ended = false;
  #unexplained = 0;
  #notedAtMs = -Infinity;

  /** @param onStays called once, with what a check says, if a refusal stays */
  constructor(url: string, onStays: (error: TrommelError) => void) {
    this.#url = url;
    this.#onStays = onStays;
  }

  note(refusal: Error): void {
    if (this.#looking || this.#ended) return;
    const nowMs = performance.now();
    if (nowMs - this.#notedAtMs > rowMs) this.#unexplained = 0;
    this.#notedAtMs = nowMs;
    this.#looking = true;
    void this.#look(refusal).finally(() => (this.#looking = false));
  }

  end(): void {
    this.#ended = true;
  }

  async #look(refusal: Error): Promise<void> {
    const sinceMs = performance.now();
    while (!this.#ended) {
      const reason = await this.#whyRefused(refusal);
      if (reason === undefined) return;
      if (performance.now() - sinceMs >= graceMs || this.#unexplained >= unexplainedAtMost) {
        if (this.#ended) return;
        this.#ended = true;
        this.#onStays(reason);
        return;
      }
      await sleep(pauseMs, undefined, { ref: false });
    }
  }

  /** @returns undefined if Redis cannot be reached, which others wait for, or grants all that is checked */
  async #whyRefused(refusal: Error): Promise<TrommelError | undefined> {
    try {
      await checkRedis(this.#url);
    } catch (thrown) {
      const isAway = !(thrown instanceof TrommelError) || thrown.code === "unavailable";
      return isAway ? undefined : thrown;
    }
    this.#unexplained += 1;
    await sleep(pauseMs, undefined, { ref: false });
    if (this.#unexplained < unexplainedAtMost) return undefined;
    return new TrommelError(
      "forbidden",
      `cannot use Redis at ${describeRedis(this.#url)}: ${messageOf(refusal)}. Check the rights of its user on the keys and commands of the queues`,
    );
  }
}
