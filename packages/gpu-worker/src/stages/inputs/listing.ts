import {
  listingKeyOf,
  TrommelError,
  type ListingSummary,
  type ObjectStore,
  type Shard,
} from "@trommel/common";
import { findListing, findShard } from "@trommel/common/artefacts";
import { required } from "./read-required.js";

/** @throws TrommelError `missing-input` while the listing is incomplete */
export async function readListing(store: ObjectStore, key: string): Promise<ListingSummary> {
  return required(key, await findListing(store, key));
}

/**
 * @throws TrommelError `cancelled` if the shard's file does not exist and its listing is incomplete: the plan has failed and
 *   removed its shards. `missing-input` if the listing is complete
 */
export async function readShard(store: ObjectStore, key: string): Promise<Shard> {
  const shard = await findShard(store, key);
  if (shard === undefined && (await store.head(listingKeyOf(key))) === undefined) {
    throw new TrommelError("cancelled", `cannot read ${key}: the plan that wrote it has failed`, {
      context: { key },
    });
  }
  return required(key, shard);
}
