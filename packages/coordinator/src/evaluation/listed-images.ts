import { createHash } from "node:crypto";
import { openStore } from "@trommel/common";
import type { AskedPatterns } from "@trommel/common/recipe";
import { KeyFilter } from "../listing/key-filter.js";

/** What lies under a prefix now. */
export interface ListedImages {
  readonly keys: readonly string[];
  /** sha256 of keys, sizes and etags: with another one, something was added, removed or changed. */
  readonly digest: string;
}

/** Lists what a scoring of the prefix would read. @throws TrommelError as ObjectStore.list does */
export async function listImages(location: string, patterns: AskedPatterns = {}): Promise<ListedImages> {
  const filter = new KeyFilter(patterns);
  const source = openStore(location);
  const hash = createHash("sha256");
  const keys: string[] = [];
  try {
    for await (const { key, sizeBytes, etag, unusable } of source.list("", { withUnusable: true })) {
      if (unusable !== undefined || filter.skip(key) !== undefined) continue;
      keys.push(key);
      hash.update(JSON.stringify([key, sizeBytes, etag]));
    }
  } finally {
    source.close();
  }
  return { keys, digest: hash.digest("hex") };
}
