import { runKeys, type ListingSummary, type ObjectStore } from "@trommel/common";
import { findListing, readGeneration } from "@trommel/common/artefacts";
import { oddities } from "../listing/odd-classes.js";
import type { Subject } from "./subject.js";

/** What was listed, once the listing is complete. */
export interface ListingOverview extends Pick<
  ListingSummary,
  "listed" | "images" | "skipped" | "classes" | "leftOut" | "withoutEffect"
> {
  /** What looks odd about classes and patterns, in sentences. */
  readonly oddities: readonly string[];
}

/** @returns undefined while it is being listed, and for a sorting, which lists nothing */
export async function readListingOverview(
  store: ObjectStore,
  subject: Subject,
): Promise<ListingOverview | undefined> {
  if (subject.kind === "sorting") return undefined;
  const keys = subject.kind === "run" ? runKeys(subject.id) : (await readGeneration(store, subject.id)).keys;
  const found = await findListing(store, keys.listing);
  if (found === undefined) return undefined;
  const { listed, images, skipped, classes, leftOut, withoutEffect } = found;
  return {
    ...{ listed, images, skipped },
    ...(classes === undefined ? {} : { classes }),
    ...(leftOut === undefined ? {} : { leftOut }),
    ...(withoutEffect === undefined ? {} : { withoutEffect }),
    oddities: oddities(found),
  };
}
