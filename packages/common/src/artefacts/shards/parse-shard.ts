import { TrommelError } from "../../errors.js";
import { parseJsonAs } from "../../parse.js";
import { shardHash } from "../runs/fingerprint.js";
import { shard as shardSchema, type Shard } from "./listing.js";

/**
 * A shard file's bytes as a shard. Shards decide which files are worked on and whose features are whose, so their own
 * hash is held against their entries.
 * @param key names the file in the message
 * @throws TrommelError `corrupt`
 */
export function parseShard(bytes: Uint8Array, key: string): Shard {
  const shard = parseJsonAs(shardSchema, bytes, key);
  const found = shardHash(shard.entries, shard.supersedes);
  if (found === shard.hash) return shard;
  throw new TrommelError(
    "corrupt",
    `cannot read ${key}: it says that its entries have the hash ${shard.hash}, and they have ${found}. ` +
      `Put it back from a copy, or start a new run`,
    { context: { key, stated: shard.hash, found } },
  );
}
