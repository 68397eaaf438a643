import { hostRules } from "./http/host-rules.js";
import { HttpStore } from "./http/http-store.js";
import { isObjectLocation, locateObject } from "./object-location.js";
import type { GetOptions, ObjectStore } from "./object-store.js";
import { openStore } from "./open-store.js";

/**
 * Opens what whole locations lead to: a bucket, a folder, or the address of a server (`https://host`), which is only read.
 * @param root as `locateObject` gives it, or any location of a store
 */
export function openObjects(root: string): ObjectStore {
  return /^https:/i.test(root) ? new HttpStore(root, { rules: hostRules() }) : openStore(root);
}

/**
 * The bytes of an image that is an object of its own.
 * @param key in the source, or a whole location
 * @throws TrommelError as ObjectStore.get does
 */
export async function readObject(source: ObjectStore, key: string, options: GetOptions): Promise<Uint8Array> {
  if (!isObjectLocation(key)) return source.get(key, options);
  const { root, key: name } = locateObject(key);
  const store = openObjects(root);
  try {
    return await store.get(name, options);
  } finally {
    store.close();
  }
}
