import { listingSummary, type ListingSummary, type ObjectStore, type Shard } from "@trommel/common";
import { parseShard } from "@trommel/common/artefacts";
import { parseSealedAs } from "@trommel/common/codec";
import { readBounds } from "@trommel/common/store";
import { readRequired } from "./read-required.js";

export async function readListing(store: ObjectStore, key: string): Promise<ListingSummary> {
  return parseSealedAs(listingSummary, await readRequired(store, key), key);
}

export async function readShard(store: ObjectStore, key: string): Promise<Shard> {
  return parseShard(await readRequired(store, key, readBounds.dataset), key);
}
