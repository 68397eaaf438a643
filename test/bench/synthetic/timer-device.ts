import type { StageDevice } from "#gpu-worker/stages/context";
import type { ViewBatch } from "#gpu-worker/backbone/engines/engine";

/**
 * A device that is a timer: it takes batches in order, one at a time, and has each for as long as a rate says. What waits
 * for it starts the moment that it is free, however late this process hears of that; where nothing waits it is idle, and that time is
 * lost.
 */
export class TimerDevice implements StageDevice {
  readonly sessionCount = 1;
  readonly #sinceMs = performance.now();
  readonly #imagesPerSecond: number;
  readonly #dimension: number;
  #freeAtMs = 0;
  #givenMs = 0;

  constructor(imagesPerSecond: number, dimension: number) {
    this.#imagesPerSecond = imagesPerSecond;
    this.#dimension = dimension;
  }

  /** Time that it has computed up to now, in milliseconds; it grows by a second each second while the device is never idle. */
  busyMs(): number {
    return this.#givenMs - Math.max(0, this.#freeAtMs - performance.now());
  }

  get idleMs(): number {
    return performance.now() - this.#sinceMs - this.busyMs();
  }

  report(): Promise<{ readonly description: string }> {
    return Promise.resolve({ description: "a timer" });
  }

  async extract(_key: string, { imageCount }: ViewBatch): Promise<Float32Array> {
    const now = performance.now();
    const durationMs = (1000 * imageCount) / this.#imagesPerSecond;
    this.#freeAtMs = Math.max(this.#freeAtMs, now) + durationMs;
    this.#givenMs += durationMs;
    const waitMs = this.#freeAtMs - now;
    // Whole milliseconds, as timers keep them: Node.js has one list for each length, and fractions would make one for each batch.
    await new Promise((resolve) => setTimeout(resolve, Math.ceil(waitMs)));
    return new Float32Array(imageCount * this.#dimension).fill(1);
  }

  ensureExtractor(): Promise<void> {
    return Promise.resolve();
  }

  ensureHeads(): Promise<never> {
    return this.classify();
  }

  classifyFeatures(): Promise<never> {
    return this.classify();
  }

  ensureClassifier(): Promise<never> {
    return this.classify();
  }

  classify(): Promise<never> {
    return Promise.reject(new Error("the timer extracts only"));
  }
}
