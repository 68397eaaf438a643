import { parentPort } from "node:worker_threads";
import { serveCalls } from "#gpu-worker/threads/thread-rpc";

/** A thread that dies when it is asked to, in the ways in which one of a worker may. */
if (parentPort !== null) {
  serveCalls(parentPort, {
    echo: (value: unknown) => Promise.resolve({ value }),
    // Thrown outside any call, as by a callback.
    throwLater: async () => {
      setImmediate(() => {
        throw new Error("a callback failed");
      });
      return await new Promise(() => undefined);
    },
    exit: () => process.exit(3),
  });
}
