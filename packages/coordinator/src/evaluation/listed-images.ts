import { createHash } from "node:crypto";
import { canonicalJson, openStore, type ScoringConfig } from "@trommel/common";
import type { KeyPatterns } from "@trommel/common/recipe";
import { KeyFilter } from "../listing/key-filter.js";
import { openSource, type SourcePlace } from "../sources/open-source.js";

/** What a source has now. */
export interface ListedImages {
  readonly keys: readonly string[];
  /** What the source itself labels them by; undefined for a prefix, whose folders do. */
  readonly labels: ReadonlyMap<string, string> | undefined;
  /** sha256 of keys, sizes and etags: with another one, something was added, removed or changed. */
  readonly digest: string;
}

/** Which images of a source are scored. */
export interface ImageSelection extends Partial<KeyPatterns>, Pick<ScoringConfig, "limit" | "sample"> {}

/**
 * Lists what a scoring of the source would read.
 * @param selection a part of the listing (`limit`, `sample`) is not drawn here, and is in the digest
 * @throws TrommelError as the source's list does
 */
export async function listImages(place: SourcePlace, selection: ImageSelection): Promise<ListedImages> {
  const { include = [], exclude = [], ...part } = selection;
  const filter = new KeyFilter({ include, exclude });
  const source = openSource(place, openStore);
  const hash = createHash("sha256");
  const keys: string[] = [];
  const labels = new Map<string, string>();
  try {
    for await (const { key, sizeBytes, etag, unusable, skip } of source.list("", { withUnusable: true })) {
      if (unusable !== undefined || skip !== undefined || filter.skip(key) !== undefined) continue;
      keys.push(key);
      hash.update(JSON.stringify([key, sizeBytes, etag]));
    }
    if (place.from?.type === "archives")
      for await (const { key, label } of source.labelled?.([]) ?? [])
        if (label !== undefined) labels.set(key, label);
  } finally {
    source.close();
  }
  // Another scoring of the same images has scores of its own. That of a plain prefix has its name from the images alone.
  const { from } = place;
  const own = canonicalJson({ ...part, ...(from === undefined ? {} : { from }) });
  if (own !== "{}") hash.update(own);
  return { keys, labels: from?.type === "archives" ? labels : undefined, digest: hash.digest("hex") };
}
