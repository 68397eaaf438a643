import { TrommelError } from "@trommel/common/errors";
import type { Handlers } from "#gpu-worker/rpc/protocol";
import { serveProcess, serveThread } from "#gpu-worker/rpc/serve";

export interface CountingRequests {
  /** Counts on by so many, notes each number, and gives back the last. */
  readonly count: { readonly argument: number; readonly result: number; readonly note: number };
  readonly double: { readonly argument: Float32Array; readonly result: Float32Array };
  readonly refuse: { readonly argument: string; readonly result: never };
  /** Waits until the caller gives it up. */
  readonly wait: { readonly argument: null; readonly result: never };
  readonly die: { readonly argument: null; readonly result: never };
}

/** A thread or a process that counts. */
function counting(): Handlers<CountingRequests> {
  let at = 0;
  return {
    count: (by, { note }) => {
      for (const end = at + by; at < end; note(at)) at += 1;
      return { value: at };
    },
    double: (values) => ({ value: values.map((value) => 2 * value) }),
    refuse: (why) => {
      throw new TrommelError("store-full", why, { retryable: false, context: { why } });
    },
    wait: (_, { signal }) =>
      new Promise((_resolve, reject) => {
        // Holds a process, which ends by itself when nothing is left to wait for.
        const held = setInterval(() => undefined, 1000);
        signal.addEventListener("abort", () => {
          clearInterval(held);
          reject(signal.reason as Error);
        });
      }),
    die: () => process.exit(3),
  };
}

serveThread<CountingRequests>(counting);
serveProcess<CountingRequests>(counting);
