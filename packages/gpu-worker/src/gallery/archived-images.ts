import type { Shard, ShardEntry } from "@trommel/common";

/**
 * The entries of images that lie within archives: their keys alone do not say where their bytes are. Shards are read until all are found.
 * @returns by key; images that are objects of their own, or in no shard, are left out
 */
export async function findArchived(
  keys: readonly string[],
  shards: AsyncIterable<Shard>,
): Promise<ReadonlyMap<string, ShardEntry>> {
  const missing = new Set(keys);
  const found = new Map<string, ShardEntry>();
  if (missing.size === 0) return found;
  for await (const { entries } of shards) {
    for (const entry of entries) {
      if (!missing.delete(entry.key)) continue;
      if (entry.at?.range !== undefined) found.set(entry.key, entry);
    }
    if (missing.size === 0) break;
  }
  return found;
}
