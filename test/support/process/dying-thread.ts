import { serveThread } from "#gpu-worker/rpc/serve";

export interface DyingRequests {
  readonly echo: { readonly argument: number; readonly result: number };
  readonly throwLater: { readonly argument: null; readonly result: never };
  readonly exit: { readonly argument: null; readonly result: never };
}

/** A thread that dies when it is asked to, in the ways in which one of a worker may. */
serveThread<DyingRequests>(() => ({
  echo: (value) => ({ value }),
  // Thrown outside any call, as by a callback.
  throwLater: async () => {
    setImmediate(() => {
      throw new Error("a callback failed");
    });
    return await new Promise(() => undefined);
  },
  exit: () => process.exit(3),
}));
