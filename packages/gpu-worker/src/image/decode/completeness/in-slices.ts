import { setImmediate } from "node:timers/promises";

/** How long reading a file's structure may keep the process from anything else. */
const sliceMs = 10;

/** Runs a walk to its end, with pauses. */
export async function inSlices<Result>(walk: Generator<void, Result>, signal: AbortSignal): Promise<Result> {
  let until = performance.now() + sliceMs;
  for (;;) {
    const { done, value } = walk.next();
    if (done === true) return value;
    if (performance.now() < until) continue;
    await setImmediate(undefined, { signal });
    until = performance.now() + sliceMs;
  }
}
