import { openStore, type Stage, type EngineName } from "@trommel/common";
import { loadStage, type argumentsOf } from "@trommel/common/jobs";
import { createLogger } from "@trommel/common/logging";
import type { StageContext, StageOutcome } from "../stages/context.js";
import { serveThread } from "../rpc/serve.js";
import type { ThreadClient } from "../rpc/thread-client.js";

/** The thread of the stages that compute for long on the CPU, so that locks are renewed meanwhile. */

export interface ReduceThreadData {
  readonly storeUrl: string;
  readonly threads: number;
  readonly engine: EngineName;
  readonly logLevel: string;
}

export interface ReduceRequest {
  readonly stage: Stage;
  /** What the stage's function gets before its context. */
  readonly values: ReturnType<typeof argumentsOf>;
}

export type ReduceNote =
  | { readonly kind: "note"; readonly text: string }
  | { readonly kind: "units"; readonly done: number; readonly total: number };

/** Loads each stage when its first job comes: together they take longer than a small run's work. */
const stageFolder = new URL("../stages/", import.meta.url);

export interface ReduceRequests {
  readonly run: {
    readonly argument: ReduceRequest;
    readonly result: StageOutcome;
    readonly note: ReduceNote;
  };
}

export type ReduceThread = ThreadClient<ReduceRequests, ReduceThreadData>;

/**
 * Ends the thread: a module that failed to load fails for the rest of its thread's life. The caller tries again in a new
 * thread.
 */
function endThread(thrown: unknown): Promise<never> {
  setImmediate(() => {
    throw thrown;
  });
  return new Promise(() => undefined);
}

serveThread<ReduceRequests, ReduceThreadData>(({ storeUrl, threads, engine, logLevel }) => {
  const store = openStore(storeUrl);
  const log = createLogger({
    level: logLevel,
    base: { worker: process.pid },
    stream: process.stderr,
  });
  return {
    run: async (request, { note, signal }) => {
      const context: StageContext = {
        store,
        threads,
        engine,
        log,
        signal,
        onImages: () => undefined,
        onNote: (text) => note({ kind: "note", text }),
        onUnits: (done, total) => note({ kind: "units", done, total }),
      };
      const stage = await loadStage(request.stage, stageFolder).catch(endThread);
      return { value: (await stage(...request.values, context)) as StageOutcome };
    },
  };
});
