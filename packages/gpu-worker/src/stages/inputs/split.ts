import { runKeys, split as splitSchema, TrommelError, type ObjectStore, type Split } from "@trommel/common";
import { parseSealedAs } from "@trommel/common/codec";
import { readBounds } from "@trommel/common/store";
import { readRequired } from "./read-required.js";

export async function readSplit(store: ObjectStore, id: string): Promise<Split> {
  const key = runKeys(id).split;
  return parseSealedAs(splitSchema, await readRequired(store, key, readBounds.dataset), key);
}

/** The images of a shard that do not train, by their positions. */
export interface HeldBack {
  readonly validation: ReadonlySet<number>;
  readonly test: ReadonlySet<number>;
}

/** @throws TrommelError `corrupt` if the split belongs to another listing */
export function heldBackOf({ validation, test }: Split, shardIndex: number): HeldBack {
  const validating = validation[shardIndex];
  if (validating !== undefined)
    return { validation: new Set(validating), test: new Set(test?.[shardIndex] ?? []) };
  throw new TrommelError(
    "corrupt",
    `cannot split shard ${shardIndex}: the run's split has ${validation.length} shards. Train again under another id (--run)`,
  );
}
