import { setTimeout as sleep } from "node:timers/promises";
import { messageOf } from "@trommel/common";
import { withTimeout } from "@trommel/common/waiting";
import type { Worker } from "bullmq";
import type { Redis } from "ioredis";
import type { StopSignals } from "./stop-signals.js";

/** How long handing back may take after the drain. */
const handBackMs = 5_000;
/** How often a drain looks whether there is still something to wait for. */
const lookMs = 100;

/**
 * Ends the queues: what is under way may finish for `drainMs`, then it is handed back, which takes a few seconds at most.
 * Without Redis jobs cannot be handed back; then their locks expire, and other workers take over.
 * @returns the exit code: 1 if something could not be handed back although Redis answered all the time
 */
export async function drain(options: {
  readonly workers: readonly Worker[];
  readonly stop: StopSignals;
  readonly redis: Redis;
  /** Stages under way. */
  readonly underWay: ReadonlySet<Promise<unknown>>;
  readonly drainMs: number;
}): Promise<number> {
  const { workers, stop, redis, underWay, drainMs } = options;
  let closed = false;
  const closing = Promise.all(workers.map((worker) => worker.close())).finally(() => (closed = true));
  // Without Redis closing fails or never ends; either way it is waited for below, and only there.
  closing.catch(() => undefined);
  const deadline = performance.now() + drainMs;
  const isRedisAway = (): boolean => redis.status !== "ready";
  let wasAway = isRedisAway();
  redis.once("close", () => (wasAway = true));
  while (!closed && performance.now() < deadline && !stop.handedBack.aborted) {
    if (underWay.size === 0 && isRedisAway()) break;
    await sleep(lookMs, undefined, { signal: stop.handedBack }).catch(() => undefined);
  }
  stop.handBack();
  try {
    await withTimeout({ timeoutMs: handBackMs, doing: "hand the shards back" }, closing);
  } catch (thrown) {
    process.stderr.write(`worker ${process.pid}: ${messageOf(thrown)}; their locks expire by themselves\n`);
    return wasAway ? 0 : 1;
  }
  // What was handed back may be in the middle of a write, which must not be left half done.
  await withTimeout({ timeoutMs: handBackMs, doing: "end" }, Promise.allSettled(underWay)).catch(
    () => undefined,
  );
  return 0;
}
