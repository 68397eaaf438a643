import type { Writable } from "node:stream";

/** Above this, a watcher gets no more events until it has read what it was sent. */
const unreadBytesAtMost = 1 << 20;
/** A watcher that reads nothing for so long is gone. */
const patienceMs = 60_000;

interface WatcherStreamOptions {
  /** Everything that is known, as an event. */
  readonly snapshot: () => Promise<string>;
  /** @default the monotonic clock */
  readonly nowMs?: () => number;
}

/**
 * What one watcher is sent. One that reads slowly is let fall behind: events are left out while it has more than a mebibyte to read, and
 * then a snapshot says what they would have said. So it is not cut off, however large a snapshot is, and takes the memory of a
 * snapshot and some events at most.
 */
export class WatcherStream {
  readonly #raw: Writable;
  readonly #snapshot: () => Promise<string>;
  readonly #nowMs: () => number;
  /** Since when it has had too much to read. */
  #behindSinceMs: number | undefined;
  #hasMissed = false;

  constructor(raw: Writable, { snapshot, nowMs = () => performance.now() }: WatcherStreamOptions) {
    this.#raw = raw;
    this.#snapshot = snapshot;
    this.#nowMs = nowMs;
    raw.on("drain", () => void this.#caughtUp());
  }

  /** Sends an event, unless it is behind. */
  tell(event: string): void {
    if (this.#behindSinceMs === undefined) this.#write(event);
    else this.#hasMissed = true;
  }

  /** Called now and then: keeps the connection open, or ends that of a watcher that reads no more. */
  beat(): void {
    if (this.#behindSinceMs === undefined) this.#write(": alive\n\n");
    else if (this.#nowMs() - this.#behindSinceMs > patienceMs) this.#raw.destroy();
  }

  #write(text: string): void {
    if (this.#raw.destroyed) return;
    this.#raw.write(text);
    if (this.#raw.writableLength > unreadBytesAtMost) this.#behindSinceMs = this.#nowMs();
  }

  async #caughtUp(): Promise<void> {
    if (this.#behindSinceMs === undefined) return;
    if (this.#hasMissed) await this.#sendSnapshot();
    else this.#behindSinceMs = undefined;
  }

  async #sendSnapshot(): Promise<void> {
    try {
      const text = await this.#snapshot();
      this.#behindSinceMs = undefined;
      this.#hasMissed = false;
      this.#write(text);
    } catch {
      // It connects again, and learns why.
      this.#raw.destroy();
    }
  }
}
