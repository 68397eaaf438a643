import { setTimeout as sleep } from "node:timers/promises";
import { messageOf, TrommelError } from "../../errors.js";
import { unlessAborted } from "../../waiting/unless-aborted.js";
import { checkRedis } from "./check-redis.js";

/** The pause between checks, doubled after every check without an answer. */
const firstPauseMs = 500;
const pauseAtMostMs = 10_000;
/** How often the wait is reported again. */
const remindMs = 60_000;

/**
 * Waits without limit until Redis answers, since a service may be started before it, and reports the wait.
 * @returns false if the signal aborted first
 * @throws TrommelError for faults that waiting cannot remove: `invalid-argument`, `forbidden`, `unsupported`
 */
export async function awaitRedis(
  url: string,
  { signal, say }: { readonly signal: AbortSignal; readonly say: (line: string) => void },
): Promise<boolean> {
  let saidAtMs: number | undefined;
  for (let pauseMs = firstPauseMs; !signal.aborted; pauseMs = Math.min(2 * pauseMs, pauseAtMostMs)) {
    // A check of a host that swallows packets lasts seconds.
    const unavailable = await unlessAborted(signal, whyUnavailable(url)).catch((thrown: unknown) => {
      if (signal.aborted) return undefined;
      throw thrown;
    });
    if (unavailable === undefined) return false;
    if (unavailable === null) {
      if (saidAtMs !== undefined) say("Redis answers now");
      return true;
    }
    const nowMs = performance.now();
    if (saidAtMs === undefined || nowMs - saidAtMs >= remindMs) {
      say(`waiting for Redis: ${unavailable}`);
      saidAtMs = nowMs;
    }
    await sleep(pauseMs, undefined, { signal }).catch(() => undefined);
  }
  return false;
}

/** @returns null if Redis answers */
async function whyUnavailable(url: string): Promise<string | null> {
  try {
    await checkRedis(url);
    return null;
  } catch (thrown) {
    const isTemporary = thrown instanceof TrommelError && ["unavailable", "timed-out"].includes(thrown.code);
    if (!isTemporary) throw thrown;
    return messageOf(thrown);
  }
}
