import { parentPort, workerData } from "node:worker_threads";
import { openStore } from "@trommel/common";
import { pino } from "pino";
import { bundle } from "../stages/bundle.js";
import { close } from "../stages/close.js";
import type { ReduceStage, StageContext, StageOutcome } from "../stages/context.js";
import { gram } from "../stages/gram.js";
import { normalize } from "../stages/normalize.js";
import { solve } from "../stages/solve.js";
import { train } from "../stages/train.js";
import { serveCalls } from "./thread-rpc.js";

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

const stages: Readonly<
  Record<ReduceStage, (request: ReduceRequest, context: StageContext) => Promise<StageOutcome>>
> = {
  normalize: ({ id }, context) => normalize(id, context),
  gram: ({ id, unit }, context) => gram(id, unit, context),
  solve: ({ id }, context) => solve(id, context),
  train: ({ id }, context) => train(id, context),
  bundle: ({ id }, context) => bundle(id, context),
  close: ({ id }, context) => close(id, context),
};

if (parentPort !== null) {
  const { storeUrl, threads, engine, logLevel } = workerData as ReduceThreadData;
  const store = openStore(storeUrl);
  const log = pino({ level: logLevel, base: null }, process.stderr);
  serveCalls(parentPort, {
    run: async (request: ReduceRequest, note: (value: unknown) => void, signal: AbortSignal) => {
      const tell = (value: ReduceNote): void => note(value);
      const context: StageContext = {
        store,
        threads,
        engine,
        log,
        signal,
        onImages: () => undefined,
        onNote: (text) => tell({ kind: "note", text }),
        onUnits: (done, total) => tell({ kind: "units", done, total }),
      };
      return { value: await stages[request.stage](request, context) };
    },
  });
}
