import {
  decodeGram,
  encodeProjection,
  runKeys,
  shardsPerGram,
  TrommelError,
  writeWithMarker,
  type Gram,
  type ObjectStore,
} from "@trommel/common";
import { findCommitted, readInput } from "@trommel/common/codec/stage-input";
import { mergeGrams } from "../linalg/gram.js";
import { solveProjection } from "../linalg/gram-to-projection.js";
import { MatrixProduct } from "../linalg/matrix-product.js";
import type { StageContext, StageOutcome } from "./context.js";
import { mendAdvice } from "./mend-advice.js";
import { readListing, readRunConfig } from "./read-config.js";

/**
 * Solve: grams → projection.
 *
 * In: every gram of the run. Out: `projection.safetensors`; nothing where the recipe has no SVD.
 * A retry finds the marker, or merges and solves again to the same bytes.
 */
export async function solve(runId: string, context: StageContext): Promise<StageOutcome> {
  const { store } = context;
  const keys = runKeys(runId);
  const config = await readRunConfig(store, runId);
  const { svd, seed } = config.recipe;
  if (svd === null || (await findCommitted(store, keys.projection)) !== undefined) {
    return { images: 0, failed: 0 };
  }
  const { shards } = await readListing(store, keys.listing);
  const merged = await mergeTree(store, keys.gram, Math.ceil(shards / shardsPerGram), context.signal);
  if (merged.rowCount === 0) {
    throw new TrommelError(
      "bad-dataset",
      `failed to compute the SVD of ${runId}: there is no row of embeddings, for none of its files could be read. ${mendAdvice(runId)}`,
      { context: { run: runId } },
    );
  }
  const product = new MatrixProduct({ threads: context.threads });
  try {
    const projection = await solveProjection(merged, svd, { seed, product });
    context.onNote(`${projection.components} components keep ${(100 * projection.energyKept).toFixed(1)} %`);
    await writeWithMarker(store, keys.projection, encodeProjection(projection), {
      components: projection.components,
      energyKept: projection.energyKept,
      rows: merged.rowCount,
    });
  } finally {
    await product.release();
  }
  return { images: 0, failed: 0 };
}

/**
 * Merges grams as a binary tree over their numbers, whatever order they were made in. As a binary counter does, it
 * holds one partial sum per level: log₂(count) grams at the most.
 */
async function mergeTree(
  store: ObjectStore,
  keyOf: (index: number) => string,
  count: number,
  signal: AbortSignal,
): Promise<Gram> {
  const levels: (Gram | undefined)[] = [];
  for (let index = 0; index < count; index += 1) {
    signal.throwIfAborted();
    const { bytes } = await readInput(store, keyOf(index));
    let carry = decodeGram(bytes, keyOf(index));
    let level = 0;
    for (let held = levels[level]; held !== undefined; held = levels[level]) {
      carry = mergeGrams(held, carry);
      levels[level] = undefined;
      level += 1;
    }
    levels[level] = carry;
  }
  const parts = levels.filter((gram) => gram !== undefined).reverse();
  return parts.reduce((sum, part) => mergeGrams(sum, part));
}
