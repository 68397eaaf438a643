import type { WorkerOptions } from "@trommel/common";
import { MemoryBudget } from "./memory-budget.js";

/** What the pictures of a worker may take in memory, over all of its shards in flight. */
export interface PictureBudgets {
  /** Files that are fetched and not decoded yet. */
  readonly files: MemoryBudget;
  /** Files that are decoded at the moment. */
  readonly decoding: MemoryBudget;
  /** Base images that wait for their turn. */
  readonly waiting: MemoryBudget;
}

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
  };
}
