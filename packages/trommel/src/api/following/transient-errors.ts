import { isRedisBusy, isRedisRefusal, messageOf, TrommelError } from "@trommel/common";

/** For how long Redis or the store may fail to answer before a follower gives up. The run itself continues without it. */
const patienceMs = 10 * 60_000;

/** ioredis' words for a connection that it has lost. */
const connectionIsLost =
  /^Connection is closed|Stream isn't writeable|^Command aborted due to connection close/;

/** What a follower makes of failures that pass: it says so once, and waits for a bounded time. */
export class TransientErrors {
  #sinceMs: number | undefined;
  readonly #say: (line: string) => void;

  constructor(say: (line: string) => void) {
    this.#say = say;
  }

  /** @throws what was thrown where waiting does not help, or has lasted too long */
  note(thrown: unknown): void {
    const passes = thrown instanceof TrommelError ? thrown.retryable : redisPasses(thrown);
    if (!passes) throw thrown;
    const nowMs = performance.now();
    if (this.#sinceMs === undefined) this.#say(`waiting, for at most 10 minutes: ${messageOf(thrown)}`);
    this.#sinceMs ??= nowMs;
    if (nowMs - this.#sinceMs > patienceMs) throw thrown;
  }

  over(): void {
    if (this.#sinceMs !== undefined) this.#say("it answers again");
    this.#sinceMs = undefined;
  }
}

/** `JobProducer.check` throws within seconds what Redis refuses for good, with what to do. */
function redisPasses(thrown: unknown): boolean {
  return isRedisBusy(thrown) || isRedisRefusal(thrown) || connectionIsLost.test(messageOf(thrown));
}
