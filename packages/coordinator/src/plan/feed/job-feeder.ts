import { setTimeout as sleep } from "node:timers/promises";
import { isRedisFull } from "@trommel/common";

/** Default of `firstLookMs` of {@link FeederOptions}. */
const defaultFirstLookMs = 100;
const lookAtMostMs = 1000;

export interface FeederOptions {
  /** Shards that are queued together. */
  readonly unit: number;
  /** The largest number of queued, unfinished shards. A larger unit waits until no shard is outstanding. */
  readonly outstandingAtMost: number;
  /** Shards that are queued and unfinished. */
  readonly outstanding: () => Promise<number>;
  /** Whether Redis is close to its memory limit. */
  readonly nearlyFull: () => Promise<boolean>;
  /** Queues the shards from `start` up to `end`. May be called again for the same ones. */
  readonly add: (start: number, end: number) => Promise<void>;
  /** @throws TrommelError `cancelled` if the run is over */
  readonly check: () => Promise<void>;
  /** Called when Redis is found full, once until it accepts jobs again. */
  readonly onFull: () => void;
  readonly signal: AbortSignal;
  /** The delay before the next check for room; doubled after every check without room. @default 100 */
  readonly firstLookMs?: number;
}

/**
 * Queues shards as they are listed, so many at a time as may be outstanding.
 *
 * Listing never waits for it: what does not fit is kept for later as a range of numbers. So the listing ends, and
 * grams, which wait for it, can run and make room. A full Redis is polled.
 */
export class JobFeeder {
  readonly #options: FeederOptions;
  #queued = 0;
  /** Shards that may be queued before the next check for room. */
  #room = 0;
  readonly #firstLookMs: number;
  #lookMs: number;
  #nextLook = 0;
  #reportedFull = false;

  constructor(options: FeederOptions) {
    this.#options = options;
    this.#firstLookMs = options.firstLookMs ?? defaultFirstLookMs;
    this.#lookMs = this.#firstLookMs;
  }

  /** Queues complete units of the listed shards, as far as there is room; the very first shard is queued alone. */
  async offer(listed: number, { first = false } = {}): Promise<void> {
    const whole = first && listed === 1 ? 1 : listed - ((listed - this.#queued) % this.#options.unit);
    if (performance.now() >= this.#nextLook) await this.#feed(whole);
  }

  /** Queues everything, however long that takes. @throws TrommelError `cancelled`; the signal's reason */
  async finish(listed: number): Promise<void> {
    while (!(await this.#feed(listed))) {
      await sleep(this.#nextLook - performance.now(), undefined, { signal: this.#options.signal }).catch(
        () => undefined,
      );
      this.#options.signal.throwIfAborted();
      await this.#options.check();
    }
  }

  /** @returns whether everything up to `end` is queued */
  async #feed(end: number): Promise<boolean> {
    while (this.#queued < end) {
      const next = Math.min(this.#queued + this.#options.unit, end);
      if (!(await this.#add(this.#queued, next))) {
        this.#nextLook = performance.now() + this.#lookMs;
        this.#lookMs = Math.min(2 * this.#lookMs, lookAtMostMs);
        return false;
      }
      this.#lookMs = this.#firstLookMs;
      this.#queued = next;
    }
    return true;
  }

  async #add(start: number, end: number): Promise<boolean> {
    const size = end - start;
    try {
      if (this.#room < size && !(await this.#findRoom(size))) return false;
      await this.#options.check();
      await this.#options.add(start, end);
    } catch (thrown) {
      if (!isRedisFull(thrown)) throw thrown;
      this.#room = 0;
      this.#reportFull();
      return false;
    }
    this.#room -= size;
    this.#reportedFull = false;
    return true;
  }

  /** If nothing is outstanding, waiting would make no room, so the unit is tried in any case. */
  async #findRoom(size: number): Promise<boolean> {
    const { outstanding, outstandingAtMost, nearlyFull } = this.#options;
    const queued = await outstanding();
    if (queued > 0 && (await nearlyFull())) {
      this.#reportFull();
      return false;
    }
    this.#room = queued === 0 ? Math.max(size, outstandingAtMost) : outstandingAtMost - queued;
    return this.#room >= size;
  }

  #reportFull(): void {
    if (!this.#reportedFull) this.#options.onFull();
    this.#reportedFull = true;
  }
}
