import type { ListingSummary, ObjectStore, Shard } from "@trommel/common";
import { findListing, findShard } from "@trommel/common/artefacts";
import { required } from "./read-required.js";

/** @throws TrommelError `missing-input` while the listing is incomplete */
export async function readListing(store: ObjectStore, key: string): Promise<ListingSummary> {
  return required(key, await findListing(store, key));
}

/** @throws TrommelError `missing-input` if the shard's file does not exist */
export async function readShard(store: ObjectStore, key: string): Promise<Shard> {
  return required(key, await findShard(store, key));
}
