import { TrommelError } from "../errors.js";
import { unlessAborted } from "./unless-aborted.js";

/** How long to wait for a piece of work. */
export interface TimeLimit {
  readonly timeoutMs: number;
  /** Ends the wait earlier when it aborts. */
  readonly signal?: AbortSignal;
  /** Completes "cannot …" in the message, for example "read a.jpg". */
  readonly doing: string;
}

/**
 * Waits at most `timeoutMs` for work that may never end, such as a call to a Redis that is down or a read from a network
 * share that has disappeared. The work may observe the signal that it receives, but need not.
 * @param work a promise, or a function that receives a signal which aborts at the limit
 * @throws TrommelError `timed-out` at the limit; the signal's reason once `signal` is aborted; what `work` throws
 */
export async function withTimeout<T>(
  { timeoutMs, signal, doing }: TimeLimit,
  work: Promise<T> | ((signal: AbortSignal) => Promise<T>),
): Promise<T> {
  const limit = new AbortController();
  const timer = setTimeout(() => {
    const message = `cannot ${doing}: it took longer than ${timeoutMs} ms. Try again`;
    limit.abort(new TrommelError("timed-out", message));
  }, timeoutMs);
  const either = signal === undefined ? limit.signal : AbortSignal.any([signal, limit.signal]);
  try {
    return await unlessAborted(either, typeof work === "function" ? work(either) : work);
  } finally {
    clearTimeout(timer);
  }
}
