import { availableParallelism } from "node:os";
import type { WorkerOptions } from "@trommel/common";
import { MemoryBudget } from "./memory-budget.js";
import { OrderedTurns } from "./ordered-turns.js";

/** What the pictures of a worker may take in memory, over all of its shards in flight. */
export interface PictureBudgets {
  /** Files that are fetched and not decoded yet. */
  readonly files: MemoryBudget;
  /** Files that are decoded at the moment. */
  readonly decoding: MemoryBudget;
  /** Base images that wait for their turn. */
  readonly waiting: MemoryBudget;
  /** To be decoded, by the shard's place in the order in which the worker began them. */
  readonly turns: OrderedTurns;
}

/** Pictures that are decoded at once, at least: as many as Node.js has threads for it by default. */
const decodesAtOnce = 4;

/** Of the pixels in flight; decoding takes the rest. */
const waitingShare = 0.25;

export function createPictureBudgets(
  options: Pick<WorkerOptions, "bytesInFlightMib" | "pixelsInFlightMib">,
): PictureBudgets {
  const pixelBytes = options.pixelsInFlightMib * 2 ** 20;
  return {
    files: new MemoryBudget(options.bytesInFlightMib * 2 ** 20),
    decoding: new MemoryBudget(pixelBytes * (1 - waitingShare)),
    waiting: new MemoryBudget(pixelBytes * waitingShare),
    turns: new OrderedTurns(Math.max(decodesAtOnce, availableParallelism())),
  };
}
