import { setTimeout as sleep } from "node:timers/promises";
import type { Worker } from "bullmq";
import { isRedisRefusal } from "../../errors.js";

/** A `RefusalWatch` says by then, in better words, what was refused. */
const verdictMs = 8000;

/**
 * Starts a worker that was made with `autorun: false` once its connections are ready. On a connection that was refused
 * something while it became ready, BullMQ's loop would fail in microtasks alone: no signal, timer or answer would ever be
 * handled again.
 * @throws what made the worker useless, if the connection's own watch has not reported it by then
 */
export async function runWhenReady(worker: Worker): Promise<void> {
  try {
    await worker.waitUntilReady();
  } catch (thrown) {
    if (isRedisRefusal(thrown)) await sleep(verdictMs, undefined, { ref: false });
    throw thrown;
  }
  void worker.run().catch((error: unknown) => worker.emit("error", error as Error));
}
