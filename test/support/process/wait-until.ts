import { setTimeout as sleep } from "node:timers/promises";

const pollMs = 10;

/**
 * Waits until `look` gives something other than undefined or false, and gives that back.
 * @throws Error naming `what` after `timeoutMs`, a bound and not a measure
 */
export async function waitUntil<T>(
  what: string,
  look: () => T | undefined | false | Promise<T | undefined | false>,
  timeoutMs = 30_000,
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > deadline) throw new Error(`waited ${timeoutMs} ms in vain until ${what}`);
    await sleep(pollMs);
  }
}
