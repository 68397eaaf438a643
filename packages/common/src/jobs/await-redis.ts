import { setTimeout as sleep } from "node:timers/promises";
import { messageOf, TrommelError } from "../errors.js";
import { checkRedis } from "./redis-connection.js";

/** Between looks: doubled with every look in vain. */
const firstPauseMs = 500;
const pauseAtMostMs = 10_000;
/** How often it is said again that Redis is still away. */
const remindMs = 60_000;

/**
 * Waits until Redis answers, as a service does that may have been started before it: for as long as it takes, and saying so.
 * @returns false where the signal aborted first
 * @throws TrommelError what no waiting mends: `invalid-argument`, `forbidden`, `unsupported`
 */
export async function awaitRedis(
  url: string,
  { signal, say }: { readonly signal: AbortSignal; readonly say: (line: string) => void },
): Promise<boolean> {
  let saidAtMs: number | undefined;
  for (let pauseMs = firstPauseMs; !signal.aborted; pauseMs = Math.min(2 * pauseMs, pauseAtMostMs)) {
    const away = await unlessAborted(signal, whyAway(url));
    if (away === undefined) return false;
    if (away === null) {
      if (saidAtMs !== undefined) say("Redis answers now");
      return true;
    }
    const nowMs = performance.now();
    if (saidAtMs === undefined || nowMs - saidAtMs >= remindMs) {
      say(`waiting for Redis, for as long as it takes: ${away}`);
      saidAtMs = nowMs;
    }
    await sleep(pauseMs, undefined, { signal }).catch(() => undefined);
  }
  return false;
}

/** @returns null where Redis answers */
async function whyAway(url: string): Promise<string | null> {
  try {
    await checkRedis(url);
    return null;
  } catch (thrown) {
    const passes = thrown instanceof TrommelError && ["unavailable", "timed-out"].includes(thrown.code);
    if (!passes) throw thrown;
    return messageOf(thrown);
  }
}

/** A look at a host that swallows packets lasts seconds. @returns undefined where the signal aborts first */
async function unlessAborted<T>(signal: AbortSignal, work: Promise<T>): Promise<T | undefined> {
  const left = new AbortController();
  const aborted = new Promise<undefined>((resolve) => {
    signal.addEventListener("abort", () => resolve(undefined), { once: true, signal: left.signal });
  });
  work.catch(() => undefined);
  try {
    return await Promise.race([work, aborted]);
  } finally {
    left.abort();
  }
}
