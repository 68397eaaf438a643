import { buffersOf, EpochBlocks, type StepBlock, type BlockMemory, type BlockSetting } from "./step-block.js";
import { serveThread } from "../../rpc/serve.js";
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

export interface PrepareRequests {
  /** Answers as soon as the thread is up. */
  readonly ready: { readonly argument: null; readonly result: null };
  readonly prepare: { readonly argument: PrepareRequest; readonly result: PreparedBlock };
}

serveThread<PrepareRequests, PrepareData>(({ setting, parts, width }) => {
  const rows = new JoinedRows(parts, width);
  let blocks: EpochBlocks | undefined;
  return {
    ready: () => ({ value: null }),
    prepare: ({ epoch, begins, memory }) => {
      if (begins || blocks === undefined) blocks = new EpochBlocks(setting, rows, epoch);
      const made = blocks.next(memory);
      const block =
        made === undefined ? undefined : { firstStep: made.firstStep, steps: made.steps, rows: made.rows };
      return { value: { block, memory }, transfer: buffersOf(memory) };
    },
  };
});
