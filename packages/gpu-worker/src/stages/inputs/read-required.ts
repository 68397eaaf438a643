import { TrommelError, type ObjectStore } from "@trommel/common";
import { readBounds, readIfThere, type GetOptions } from "@trommel/common/store";

/**
 * A small object that an earlier step writes without a marker.
 * @param bound @default that of a document
 * @throws TrommelError `missing-input` if the object does not exist
 */
export async function readRequired(
  store: ObjectStore,
  key: string,
  bound: GetOptions = readBounds.document,
): Promise<Uint8Array> {
  return required(key, await readIfThere(store, key, bound));
}

/** @throws TrommelError `missing-input` if what was looked for under the key does not exist */
export function required<T>(key: string, found: T | undefined): T {
  if (found !== undefined) return found;
  throw new TrommelError(
    "missing-input",
    `cannot read ${key}: the stage that writes it did not finish. Resume the run`,
    { context: { key } },
  );
}
