import {
  decodeGram,
  encodeProjection,
  runKeys,
  shardsPerGram,
  TrommelError,
  writeWithMarker,
  type Gram,
} from "@trommel/common";
import { encodeMoments } from "@trommel/common/artefacts";
import { findCommitted, readInput } from "@trommel/common/codec";
import { isAuto } from "@trommel/common/recipe";
import { mergeGrams } from "../linalg/gram/gram.js";
import { isSettled, solveProjection } from "../linalg/gram-to-projection.js";
import { MatrixProduct } from "../linalg/matrix-product.js";
import { commitOnce } from "./inputs/commit-once.js";
import type { StageContext, StageOutcome } from "./context.js";
import { adviceOnFailedFiles } from "./inputs/features.js";
import { sumGroup } from "./inputs/group-gram.js";
import { readListing } from "./inputs/listing.js";
import { mergeGroupMoments } from "./folding/moments.js";
import { readRunConfig } from "./inputs/run.js";
import { settleSplit } from "./dividing/settle-split.js";

/**
 * Solve: grams → projection.
 *
 * In: every gram of the run. Out: `projection.safetensors`; nothing if the recipe has no SVD; for `head: auto` the merged sums,
 * `moments.safetensors`.
 * Groups of shards with images that are on another side of the split because of their copies are summed again by that side.
 * If the grams' float32 products leave the rank or a component in doubt, the feature shards are summed again, in float64.
 * A retry finds the marker, or merges and solves again to the same bytes.
 */
export async function solve(runId: string, context: StageContext): Promise<StageOutcome> {
  const { store } = context;
  const keys = runKeys(runId);
  const config = await readRunConfig(store, runId);
  if (isAuto(config.recipe)) {
    if ((await findCommitted(store, keys.moments)) === undefined) {
      const moments = encodeMoments(await mergeGroupMoments(config, context));
      await commitOnce(() => writeWithMarker(store, keys.moments, moments));
    }
    return { images: 0, failed: 0 };
  }
  const { svd, seed } = config.recipe;
  if (svd === null || (await findCommitted(store, keys.projection)) !== undefined) {
    return { images: 0, failed: 0 };
  }
  const { shards } = await readListing(store, keys.listing);
  const count = Math.ceil(shards / shardsPerGram);
  const { split, moved } = await settleSplit(config, context);
  const summedAgain = new Set(moved.map(({ shard }) => Math.floor(shard / shardsPerGram)));
  const product = new MatrixProduct({ threads: context.threads });
  const gramOf = async (index: number): Promise<Gram> => {
    if (summedAgain.has(index)) return sumGroup(config, index, { context, product, split });
    const { bytes } = await readInput(store, keys.gram(index));
    return decodeGram(bytes, keys.gram(index));
  };
  try {
    const merged = await mergeTree(count, context.signal, gramOf);
    if (merged.rowCount === 0) throw noEmbeddings(runId);
    let projection = await solveProjection(merged, svd, { seed, product });
    if (!isSettled(projection, merged, svd)) {
      const exact = await mergeTree(count, context.signal, (index) =>
        sumGroup(config, index, { context, product, split, precision: "float64" }),
      );
      projection = await solveProjection(exact, svd, { seed, product });
    }
    context.onNote(`${projection.components} components keep ${(100 * projection.energyKept).toFixed(1)} %`);
    const { components, energyKept } = projection;
    const counts = { components, energyKept, rows: merged.rowCount };
    const bytes = encodeProjection(projection);
    await commitOnce(() => writeWithMarker(store, keys.projection, bytes, counts));
  } finally {
    await product.release();
  }
  return { images: 0, failed: 0 };
}

function noEmbeddings(run: string): TrommelError {
  return new TrommelError(
    "bad-dataset",
    `cannot compute the SVD of ${run}: it has no embeddings, because none of its files could be read. ${adviceOnFailedFiles(run)}`,
    { context: { run } },
  );
}

/**
 * Merges grams as a binary tree over their numbers, whatever order they were made in. As a binary counter does, it
 * holds one partial sum per level: log₂(count) grams at the most.
 */
async function mergeTree(
  count: number,
  signal: AbortSignal,
  gramOf: (index: number) => Promise<Gram>,
): Promise<Gram> {
  const levels: (Gram | undefined)[] = [];
  for (let index = 0; index < count; index += 1) {
    signal.throwIfAborted();
    let carry = await gramOf(index);
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
