import { encodeGram, runKeys, writeWithMarker } from "@trommel/common";
import { encodeMoments } from "@trommel/common/artefacts";
import { findCommitted } from "@trommel/common/codec";
import { isAuto } from "@trommel/common/recipe";
import { MatrixProduct } from "../linalg/matrix-product.js";
import type { StageContext, StageOutcome } from "./context.js";
import { commitOnce } from "./inputs/commit-once.js";
import { sumGroup } from "./inputs/group-gram.js";
import { sumGroupMoments } from "./folding/moments.js";
import { readRunConfig } from "./inputs/run.js";

/**
 * Gram: a group of feature shards, the split → gram.
 *
 * In: every feature shard of the group (none may be missing) and the split; only rows of training images count.
 * Out: `grams/<n>.safetensors`; nothing if the recipe has no SVD. For `head: auto` only the sums of the rows and of their squares,
 * over all images: which of them are the test part is not known yet, and `standardize` subtracts those. A retry finds the marker, or sums again in the same
 * order and writes the same bytes.
 */
export async function gram(runId: string, gramIndex: number, context: StageContext): Promise<StageOutcome> {
  const { store } = context;
  const key = runKeys(runId).gram(gramIndex);
  const config = await readRunConfig(store, runId);
  if (isAuto(config.recipe)) {
    if ((await findCommitted(store, key)) === undefined) {
      const moments = encodeMoments(await sumGroupMoments(config, gramIndex, context));
      await commitOnce(() => writeWithMarker(store, key, moments));
    }
    return { images: 0, failed: 0 };
  }
  if (config.recipe.svd === null || (await findCommitted(store, key)) !== undefined) {
    return { images: 0, failed: 0 };
  }
  const product = new MatrixProduct({ threads: context.threads });
  try {
    const bytes = encodeGram(await sumGroup(config, gramIndex, { context, product }));
    await commitOnce(() => writeWithMarker(store, key, bytes));
  } finally {
    await product.release();
  }
  return { images: 0, failed: 0 };
}
