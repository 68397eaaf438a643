import { toTrommelError } from "@trommel/common";

/**
 * Commits a shard that another worker may have committed meanwhile. Where that one has other hardware its bytes may differ
 * in rounding; the first marker stands, and this work was in vain but harmless.
 */
export async function commitOnce(commit: () => Promise<unknown>): Promise<void> {
  try {
    await commit();
  } catch (thrown) {
    if (toTrommelError(thrown).code !== "conflict") throw thrown;
  }
}
