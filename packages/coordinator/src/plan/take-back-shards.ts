import { runKeys, scoringKeys, type ObjectStore } from "@trommel/common";

const keysAtOnce = 500;

/**
 * Removes the shard files of a plan that found its dataset unusable, so that the next attempt lists the prefix again and
 * sees what a person has added or removed since. Once the split or the listing exists nothing is removed.
 *
 * The last shard goes first: wherever this stops, the remaining shards are the beginning of the listing, and the next
 * attempt continues after them. Jobs that are queued for the shards find them missing and end.
 */
export async function takeBackShards(
  store: ObjectStore,
  subject: { readonly kind: "run" | "scoring"; readonly id: string },
): Promise<void> {
  const keys = subject.kind === "run" ? runKeys(subject.id) : scoringKeys(subject.id);
  const final = subject.kind === "run" ? [keys.listing, runKeys(subject.id).split] : [keys.listing];
  for (const key of final) if ((await store.head(key)) !== undefined) return;
  const written: string[] = [];
  for await (const { key } of store.list(`${keys.root}/shards/`)) written.push(key);
  // Numbers beyond 99,999 have more digits.
  const lastFirst = written.sort((a, b) => b.length - a.length || (a < b ? 1 : -1));
  for (let start = 0; start < lastFirst.length; start += keysAtOnce) {
    await store.delete(lastFirst.slice(start, start + keysAtOnce));
  }
}
