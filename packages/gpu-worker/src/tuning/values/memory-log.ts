import type { Value } from "./value.js";

/** What is in memory during the backward pass, operation by operation, in bytes. */
export class MemoryLog {
  readonly #spans = new Map<Value, { readonly from: number; to: number }>();
  readonly #passing: number[] = [];
  readonly #values = new Set<Value>();

  /** A value of the forward pass. */
  add(value: Value): void {
    this.#values.add(value);
  }

  /** An operation's backward pass begins. @param passing bytes of gradients that wait, and of what it needs for itself */
  begin(passing: number): void {
    this.#passing.push(passing);
  }

  read(value: Value): void {
    if (!this.#values.has(value)) return;
    const now = this.#passing.length - 1;
    const span = this.#spans.get(value);
    if (span !== undefined) span.to = now;
    else this.#spans.set(value, { from: value.isRecomputed ? now : 0, to: now });
  }

  /** The most that is in memory at a time. */
  peakBytes(): number {
    const bytes = [...this.#passing];
    for (const [{ sizeBytes }, { from, to }] of this.#spans) {
      for (let at = Math.max(from, 0); at <= to; at += 1) bytes[at] = (bytes[at] ?? 0) + sizeBytes;
    }
    return Math.max(0, ...bytes);
  }
}
