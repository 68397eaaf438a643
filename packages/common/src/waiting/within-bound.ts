import { TrommelError } from "@trommel/common/errors";

/**
 * Waits for `work` at most so long, whether or not it heeds the signal that it is given: a read from a network share
 * that went away never comes back.
 * @param doing reads "read a.jpg"
 * @throws TrommelError `timed-out` at the bound; the signal's reason once `signal` is aborted; what `work` throws
 */
export async function withinBound<T>(
  {
    timeoutMs,
    signal,
    doing,
  }: { readonly timeoutMs: number; readonly signal?: AbortSignal; readonly doing: string },
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const bound = new AbortController();
  const timer = setTimeout(() => {
    bound.abort(
      new TrommelError("timed-out", `failed to ${doing}: it took longer than ${timeoutMs} ms. Try again`),
    );
  }, timeoutMs);
  const either = signal === undefined ? bound.signal : AbortSignal.any([signal, bound.signal]);
  let giveUp: (() => void) | undefined;
  const given = new Promise<never>((_, reject) => {
    giveUp = () => {
      reject(either.reason as Error);
    };
    if (either.aborted) giveUp();
    else either.addEventListener("abort", giveUp, { once: true });
  });
  try {
    return await Promise.race([work(either), given]);
  } finally {
    clearTimeout(timer);
    if (giveUp !== undefined) either.removeEventListener("abort", giveUp);
    given.catch(() => undefined);
  }
}
