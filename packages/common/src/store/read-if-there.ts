import { TrommelError } from "../errors.js";
import type { GetOptions, ObjectStore } from "./object-store.js";
import { readBounds } from "./read-bounds.js";

/** @returns undefined where there is no such object */
export async function readIfThere(
  store: ObjectStore,
  key: string,
  bound: GetOptions = readBounds.document,
): Promise<Uint8Array | undefined> {
  try {
    return await store.get(key, bound);
  } catch (thrown) {
    if (thrown instanceof TrommelError && thrown.code === "not-found") return undefined;
    throw thrown;
  }
}
