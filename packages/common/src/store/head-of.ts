import type { ObjectInfo, ObjectStore } from "./object-store.js";
import { notFound } from "./store-errors.js";

/** What an object is that has to be there. @throws TrommelError `not-found` */
export async function headOf(store: ObjectStore, key: string): Promise<ObjectInfo> {
  const info = await store.head(key);
  if (info === undefined) throw notFound(store.url, key);
  return info;
}
