import { TrommelError } from "@trommel/common";
import { unlessAborted } from "@trommel/common/waiting";

/** What every call takes. */
export interface CallOptions {
  /** Gives up waiting when it aborts; the call then rejects with `cancelled`. What is written by then is whole. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Waits for work unless a signal aborts.
 * @throws TrommelError `cancelled`, or the signal's reason where that is a TrommelError
 */
export async function abortable<T>({ signal }: CallOptions, work: () => Promise<T>): Promise<T> {
  if (signal === undefined) return work();
  if (signal.aborted) throw cancelled(signal);
  try {
    return await unlessAborted(signal, work());
  } catch (thrown) {
    if (signal.aborted && !(thrown instanceof TrommelError)) throw cancelled(signal);
    throw thrown;
  }
}

/** Aborts with the call's own signal, if it has one, and with its handle's. */
export function eitherSignal({ signal }: CallOptions, handle: AbortSignal): AbortSignal {
  return signal === undefined ? handle : AbortSignal.any([signal, handle]);
}

/** The error of a call whose signal has aborted. */
export function cancelled(signal: AbortSignal): TrommelError {
  if (signal.reason instanceof TrommelError) return signal.reason;
  return new TrommelError("cancelled", "stopped waiting: the signal was aborted", { cause: signal.reason });
}
