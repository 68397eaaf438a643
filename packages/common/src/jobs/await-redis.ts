import { setTimeout as sleep } from "node:timers/promises";
import { messageOf, TrommelError } from "../errors.js";
import { checkRedis } from "./redis-connection.js";

/** Between two checks: doubled after every check without success. */
const firstPauseMs = 500;
const pauseAtMostMs = 10_000;
/** How often the message that Redis does not answer is repeated. */
const remindMs = 60_000;

/**
 * Waits until Redis answers, without a limit, and reports that it waits: a service may be started before its Redis.
 * @returns false if the signal aborted first
 * @throws TrommelError if waiting cannot help: `invalid-argument`, `forbidden`, `unsupported`
 */
export async function awaitRedis(
  url: string,
  { signal, say }: { readonly signal: AbortSignal; readonly say: (line: string) => void },
): Promise<boolean> {
  let saidAtMs: number | undefined;
  for (let pauseMs = firstPauseMs; !signal.aborted; pauseMs = Math.min(2 * pauseMs, pauseAtMostMs)) {
    const reason = await unlessAborted(signal, whyUnreachable(url));
    if (reason === undefined) return false;
    if (reason === null) {
      if (saidAtMs !== undefined) say("Redis answers now");
      return true;
    }
    const nowMs = performance.now();
    if (saidAtMs === undefined || nowMs - saidAtMs >= remindMs) {
      say(`waiting for Redis, for as long as it takes: ${reason}`);
      saidAtMs = nowMs;
    }
    await sleep(pauseMs, undefined, { signal }).catch(() => undefined);
  }
  return false;
}

/** @returns null if Redis answers */
async function whyUnreachable(url: string): Promise<string | null> {
  try {
    await checkRedis(url);
    return null;
  } catch (thrown) {
    const isTemporary = thrown instanceof TrommelError && ["unavailable", "timed-out"].includes(thrown.code);
    if (!isTemporary) throw thrown;
    return messageOf(thrown);
  }
}

/** A check of a host that drops packets lasts seconds. @returns undefined if the signal aborts first */
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
