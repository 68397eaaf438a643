import { openStore } from "@trommel/common";
import { pino } from "pino";
import type { ReduceStage, StageContext, StageOutcome } from "../stages/context.js";
import { serveThread } from "../rpc/serve.js";
import type { ThreadClient } from "../rpc/thread-client.js";

/** The thread of the stages that compute for long on the CPU, so that locks are renewed meanwhile. */

export interface ReduceThreadData {
  readonly storeUrl: string;
  readonly threads: number;
  readonly engine: "onnx" | "tfjs";
  readonly logLevel: string;
}

export interface ReduceRequest {
  readonly stage: ReduceStage;
  readonly id: string;
  /** Which gram; 0 for the other stages. */
  readonly unit: number;
}

export type ReduceNote =
  | { readonly kind: "note"; readonly text: string }
  | { readonly kind: "units"; readonly done: number; readonly total: number };

type StageFunction = (request: ReduceRequest, context: StageContext) => Promise<StageOutcome>;

/** Each is loaded when it is first asked for: together they take longer than a small run's work. */
const stages: Readonly<Record<ReduceStage, () => Promise<StageFunction>>> = {
  normalize: async () => byId((await import("../stages/normalize.js")).normalize),
  gram: async () => {
    const { gram } = await import("../stages/gram.js");
    return ({ id, unit }, context) => gram(id, unit, context);
  },
  solve: async () => byId((await import("../stages/solve.js")).solve),
  train: async () => byId((await import("../stages/train.js")).train),
  bundle: async () => byId((await import("../stages/bundle.js")).bundle),
  close: async () => byId((await import("../stages/close.js")).close),
};

function byId(stage: (id: string, context: StageContext) => Promise<StageOutcome>): StageFunction {
  return ({ id }, context) => stage(id, context);
}

export interface ReduceRequests {
  readonly run: {
    readonly argument: ReduceRequest;
    readonly result: StageOutcome;
    readonly note: ReduceNote;
  };
}

export type ReduceThread = ThreadClient<ReduceRequests, ReduceThreadData>;

/**
 * What could not be loaded stays so for this thread's life. So it dies of it, which its caller takes for a reason to try again
 * in another one.
 */
function endThread(thrown: unknown): Promise<never> {
  setImmediate(() => {
    throw thrown;
  });
  return new Promise(() => undefined);
}

serveThread<ReduceRequests, ReduceThreadData>(({ storeUrl, threads, engine, logLevel }) => {
  const store = openStore(storeUrl);
  const log = pino({ level: logLevel, base: null }, process.stderr);
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
      const stage = await stages[request.stage]().catch(endThread);
      return { value: await stage(request, context) };
    },
  };
});
