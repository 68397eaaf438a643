import { isRedisFull } from "@trommel/common";
import type { Logger } from "pino";

/** How long one error is not logged again: BullMQ meets it at every poll. */
const silentMs = 60_000;

/** Logs what BullMQ reports of a queue, each error once a minute, and that Redis is full once until there is room again. */
export class QueueErrors {
  readonly #log: Logger;
  readonly #loggedAtMs = new Map<string, number>();
  #fullLogged = false;

  constructor(log: Logger) {
    this.#log = log;
  }

  readonly report = (error: Error): void => {
    if (isRedisFull(error)) {
      this.reportFull();
      return;
    }
    // Two errors that differ by a job or a script are one.
    const reason = error.message;
    const kind = reason.replace(/[0-9a-f-]{8,}|\d+/g, "#");
    const nowMs = performance.now();
    const last = this.#loggedAtMs.get(kind);
    if (last !== undefined && nowMs - last < silentMs) return;
    this.#loggedAtMs.set(kind, nowMs);
    this.#log.warn({ reason }, "error of the plan queue");
  };

  readonly reportFull = (): void => {
    if (!this.#fullLogged) this.#log.warn("Redis is full (maxmemory): jobs are queued as it has room again");
    this.#fullLogged = true;
  };

  readonly roomAgain = (): void => {
    this.#fullLogged = false;
  };
}
