import { randomInt } from "node:crypto";
import { setTimeout } from "node:timers/promises";
import { TrommelError } from "../../errors.js";
import { refusalAt } from "./s3-errors.js";
import { failureOf, isFull, isOverload, OtherObject, TooLong, type Failure } from "./s3-failure.js";

/**
 * The one place that repeats a request to S3. The SDK's own retries are switched off: they neither cover a body that
 * breaks off nor end within a known time.
 *
 * Waits double from try to try, and each is drawn between half of itself and the whole, so that many workers do not come
 * back at once. A server that asks for less (429, 503, SlowDown) is left alone ten times as long as one that failed.
 * A server that never answered is given up soon, for then an address is likely wrong; one that did is waited for.
 */

/** Tries of one request of a server that answered before. */
const triesOfKnown = 8;
/** Tries of one request of a server that never answered. */
const triesOfUnknown = 4;
const defaultFirstDelayMs = 100;
/** The longest wait, in first waits. */
const longest = { fault: 50, overload: 200 } as const;
const overloadFactor = 10;
const defaultWindowMs = 60_000;

export interface RetryBounds {
  /** Tries of one request, the first included. @default 8, or 4 of a server that never answered */
  readonly maxAttempts?: number | undefined;
  /** The wait before the second try; ten times that after an overload. @default 100 */
  readonly firstDelayMs?: number | undefined;
  /** No try begins later than this after the first. @default 60000 */
  readonly windowMs?: number | undefined;
}

export class S3Retries {
  private hasAnswered = false;
  private readonly closing = new AbortController();

  constructor(private readonly bounds: RetryBounds = {}) {}

  /**
   * Tries until it succeeds, until the failure is one that stays, or until a bound is reached.
   * @param attempt one request with all that belongs to it; receives the number of the try, from 1
   * @param hasBody whether the request has a body, which may be damaged on the way
   * @throws what the last try threw, also where the signal ends the waiting
   */
  async run<T>(attempt: (tries: number) => Promise<T>, signal?: AbortSignal, hasBody = true): Promise<T> {
    const windowMs = this.bounds.windowMs ?? defaultWindowMs;
    const start = performance.now();
    for (let tries = 1; ; tries += 1) {
      try {
        const result = await attempt(tries);
        this.hasAnswered = true;
        return result;
      } catch (thrown) {
        if (failureOf(thrown).status !== undefined) this.hasAnswered = true;
        const kind = retryKind(thrown, hasBody);
        if (kind === undefined || signal?.aborted === true || tries >= this.triesAtMost()) throw thrown;
        const delayMs = this.delayMs(kind, tries, thrown);
        if (performance.now() - start + delayMs > windowMs) throw thrown;
        await this.wait(delayMs, signal).catch(() => {
          throw thrown;
        });
      }
    }
  }

  /** Ends every wait: what was waiting fails with the error that it had. */
  close(): void {
    this.closing.abort();
  }

  private triesAtMost(): number {
    return this.bounds.maxAttempts ?? (this.hasAnswered ? triesOfKnown : triesOfUnknown);
  }

  private delayMs(kind: RetryKind, tries: number, thrown: unknown): number {
    const firstDelayMs = this.bounds.firstDelayMs ?? defaultFirstDelayMs;
    const grown = firstDelayMs * (kind === "overload" ? overloadFactor : 1) * 2 ** (tries - 1);
    const atMostMs = firstDelayMs * longest[kind];
    const wholeMs = Math.min(atMostMs, grown);
    const drawnMs = wholeMs / 2 + randomInt(Math.floor(wholeMs / 2) + 1);
    return Math.min(atMostMs, Math.max(drawnMs, retryAfterMs(thrown)));
  }

  private async wait(delayMs: number, signal: AbortSignal | undefined): Promise<void> {
    const ending =
      signal === undefined ? this.closing.signal : AbortSignal.any([this.closing.signal, signal]);
    await setTimeout(delayMs, undefined, { signal: ending });
  }
}

type RetryKind = keyof typeof longest;

/** Refusals of a request that came damaged, or that met another one: the same request may be taken next time. */
const damagedOnTheWay = new Set([
  "BadDigest",
  "XAmzContentSHA256Mismatch",
  "XAmzContentChecksumMismatch",
  "IncompleteBody",
]);

const lateOnTheWay = new Set([
  "RequestTimeout",
  // The SDK has set its clock by the server's when this arrives.
  "RequestTimeTooSkewed",
]);

/** Undefined where another try would end the same way. */
function retryKind(thrown: unknown, hasBody: boolean): RetryKind | undefined {
  if (thrown instanceof TooLong || thrown instanceof OtherObject) return undefined;
  if (thrown instanceof TrommelError) return thrown.retryable ? "fault" : undefined;
  const failure = failureOf(thrown);
  if (isFull(failure)) return undefined;
  if (isOverload(failure)) return "overload";
  return isFault(failure, hasBody) ? "fault" : undefined;
}

function isFault(failure: Failure, hasBody: boolean): boolean {
  const { name, status } = failure;
  if (lateOnTheWay.has(name) || (hasBody && damagedOnTheWay.has(name))) return true;
  // Without a status there was no answer; with 2xx there was one that cannot be read.
  if (status === undefined) return refusalAt(failure) === undefined;
  return status < 300 || status === 408 || status === 409 || (status >= 500 && status !== 501);
}

function retryAfterMs(thrown: unknown): number {
  const { $response } = thrown as { $response?: { headers?: Record<string, string | undefined> } };
  const seconds = Number($response?.headers?.["retry-after"]);
  return Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : 0;
}
