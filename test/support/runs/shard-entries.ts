import { openStore, type ShardEntry } from "@trommel/common";

/** The files of a folder as a listing has them, in its order. */
export async function shardEntries(folder: string): Promise<ShardEntry[]> {
  const store = openStore(folder);
  const entries: ShardEntry[] = [];
  for await (const { key, sizeBytes, etag } of store.list("")) entries.push({ key, sizeBytes, etag });
  store.close();
  return entries;
}
