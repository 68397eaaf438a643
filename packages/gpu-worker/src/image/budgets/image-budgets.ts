import { availableParallelism } from "node:os";
import type { WorkerOptions } from "@trommel/common";
import { MemoryBudget } from "./memory-budget.js";
import { OrderedTurns } from "./ordered-turns.js";

/** Memory limits for the images of a worker, over all its shards in flight. */
export interface ImageBudgets {
  /** Files that are fetched but not decoded yet. */
  readonly files: MemoryBudget;
  /** Files that are being decoded. */
  readonly decoding: MemoryBudget;
  /** Base images that wait to be yielded. */
  readonly waiting: MemoryBudget;
  /** Turns to decode, in the order in which the worker started the shards. */
  readonly turns: OrderedTurns;
}

/** Lower limit of images decoded at once: the default size of Node.js's thread pool. */
const decodesAtOnce = 4;

/** Share of the pixels in flight that waits; decoding takes the rest. */
const waitingShare = 0.25;

export function createImageBudgets(
  options: Pick<WorkerOptions, "bytesInFlightMib" | "pixelsInFlightMib">,
): ImageBudgets {
  const pixelBytes = options.pixelsInFlightMib * 2 ** 20;
  return {
    files: new MemoryBudget(options.bytesInFlightMib * 2 ** 20),
    decoding: new MemoryBudget(pixelBytes * (1 - waitingShare)),
    waiting: new MemoryBudget(pixelBytes * waitingShare),
    turns: new OrderedTurns(Math.max(decodesAtOnce, availableParallelism())),
  };
}
