import { TrommelError, type ObjectStore } from "@trommel/common";
import { readBounds, type GetOptions } from "@trommel/common/store";

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
  try {
    return await store.get(key, bound);
  } catch (thrown) {
    if (!(thrown instanceof TrommelError) || thrown.code !== "not-found") throw thrown;
    throw new TrommelError(
      "missing-input",
      `cannot read ${key}: the stage that writes it did not finish. Resume the run`,
      { cause: thrown, context: { key } },
    );
  }
}
