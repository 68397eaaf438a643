import { runKeys, split as splitSchema, TrommelError, type ObjectStore, type Split } from "@trommel/common";
import { parseSealedAs } from "@trommel/common/codec";
import { readBounds } from "@trommel/common/store";
import { readRequired } from "./read-required.js";

export async function readSplit(store: ObjectStore, id: string): Promise<Split> {
  const key = runKeys(id).split;
  return parseSealedAs(splitSchema, await readRequired(store, key, readBounds.dataset), key);
}

/** Positions of a shard's validation images. @throws TrommelError `corrupt` if the split belongs to another listing */
export function validationOf(split: Split, shardIndex: number): ReadonlySet<number> {
  const positions = split.validation[shardIndex];
  if (positions !== undefined) return new Set(positions);
  throw new TrommelError(
    "corrupt",
    `cannot split shard ${shardIndex}: the run's split has ${split.validation.length} shards. Train again under another id (--run)`,
  );
}
