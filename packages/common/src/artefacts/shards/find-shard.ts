import { parseSealedAs } from "../../codec/sealed-json.js";
import type { ObjectStore } from "../../store/object-store.js";
import { readBounds } from "../../store/read-bounds.js";
import { readIfThere } from "../../store/read-if-there.js";
import { runKeys } from "../store-keys.js";
import { foldSplit, listingSummary, type FoldSplit, type ListingSummary, type Shard } from "./listing.js";
import { parseShard } from "./parse-shard.js";

/**
 * A shard's file.
 * @returns undefined if it does not exist
 * @throws TrommelError `corrupt`
 */
export async function findShard(store: ObjectStore, key: string): Promise<Shard | undefined> {
  const body = await readIfThere(store, key, readBounds.dataset);
  return body === undefined ? undefined : parseShard(body, key);
}

/**
 * The summary of a listing.
 * @returns undefined while the listing is incomplete
 * @throws TrommelError `corrupt`
 */
export async function findListing(store: ObjectStore, key: string): Promise<ListingSummary | undefined> {
  const body = await readIfThere(store, key);
  return body === undefined ? undefined : parseSealedAs(listingSummary, body, key);
}

/** The split of a run that divides its images into folds. @throws TrommelError `not-found` before it is written */
export async function readSplit(store: ObjectStore, run: string): Promise<FoldSplit> {
  const { split } = runKeys(run);
  return parseSealedAs(foldSplit, await store.get(split, readBounds.dataset), split);
}
