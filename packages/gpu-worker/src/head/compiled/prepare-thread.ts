import { parentPort, workerData } from "node:worker_threads";
import { EpochRuns, type BatchRun, type RunMemory, type RunSetting } from "./batch-run.js";
import { JoinedRows, type RowSet } from "../model/row-set.js";

/** The thread of `run-source.ts`: answers each request with a run in the request's memory. */

export interface PrepareData {
  readonly setting: RunSetting;
  readonly parts: readonly RowSet[];
  /** Features of a row. */
  readonly width: number;
}

export interface PrepareRequest {
  readonly epoch: number;
  /** Whether it is the first of its epoch. */
  readonly begins: boolean;
  /** Handed over, and handed back with the answer. */
  readonly memory: RunMemory;
}

export interface PreparedRun {
  /** Undefined after an epoch's last. */
  readonly run: Omit<BatchRun, "memory"> | undefined;
  readonly memory: RunMemory;
}

if (parentPort !== null) {
  const port = parentPort;
  const { setting, parts, width } = workerData as PrepareData;
  const rows = new JoinedRows(parts, width);
  let runs: EpochRuns | undefined;
  port.on("message", ({ epoch, begins, memory }: PrepareRequest) => {
    if (begins || runs === undefined) runs = new EpochRuns(setting, rows, epoch);
    const made = runs.next(memory);
    const run =
      made === undefined ? undefined : { firstStep: made.firstStep, steps: made.steps, rows: made.rows };
    const answer: PreparedRun = { run, memory };
    const { features, labels, targets, factors } = memory;
    const buffers = [features, labels, targets, ...factors.values()].map(({ buffer }) => buffer);
    port.postMessage(answer, buffers);
  });
}
