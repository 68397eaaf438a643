import { parentPort, workerData } from "node:worker_threads";
import { EpochBlocks, type StepBlock, type BlockMemory, type BlockSetting } from "./step-block.js";
import { JoinedRows, type RowSet } from "../model/row-set.js";

/** The thread of `block-source.ts`: answers each request with a block of steps in the request's memory. */

export interface PrepareData {
  readonly setting: BlockSetting;
  readonly parts: readonly RowSet[];
  /** Features of a row. */
  readonly width: number;
}

export interface PrepareRequest {
  readonly epoch: number;
  /** Whether it is the first of its epoch. */
  readonly begins: boolean;
  /** Handed over, and handed back with the answer. */
  readonly memory: BlockMemory;
}

export interface PreparedBlock {
  /** Undefined after an epoch's last. */
  readonly block: Omit<StepBlock, "memory"> | undefined;
  readonly memory: BlockMemory;
}

if (parentPort !== null) {
  const port = parentPort;
  const { setting, parts, width } = workerData as PrepareData;
  const rows = new JoinedRows(parts, width);
  let blocks: EpochBlocks | undefined;
  port.on("message", ({ epoch, begins, memory }: PrepareRequest) => {
    if (begins || blocks === undefined) blocks = new EpochBlocks(setting, rows, epoch);
    const made = blocks.next(memory);
    const block =
      made === undefined ? undefined : { firstStep: made.firstStep, steps: made.steps, rows: made.rows };
    const answer: PreparedBlock = { block, memory };
    const { features, labels, targets, factors } = memory;
    const buffers = [features, labels, targets, ...factors.values()].map(({ buffer }) => buffer);
    port.postMessage(answer, buffers);
  });
}
