import { canonicalJson, TrommelError, type FailedRow, type ObjectStore, type Shard } from "@trommel/common";
import { outcomeMarker } from "@trommel/common/artefacts/shards/ledger";
import { okKeys } from "@trommel/common/artefacts/shards/ledger-builder";
import { readInputMarker } from "@trommel/common/codec/stage-input";
import { RetriedRows } from "@trommel/common/artefacts/shards/retried-rows";
import type { ShardSpan } from "@trommel/common/artefacts/shards/retry";
import { range, readAhead } from "@trommel/common/store/read-ahead";
import { readShard } from "./read-artefacts.js";

/** Shards whose small files are read at once when all of them are added up. */
export const shardsReadAtOnce = 16;

/** The rows that shards try again, from those shards and the markers of what they came to. */
export async function readRetriedRows(options: {
  readonly store: ObjectStore;
  readonly shardKey: (index: number) => string;
  readonly span: ShardSpan;
  /** Where a shard's outcome has its marker. */
  readonly outcomeOf: (shard: Shard) => { readonly store: ObjectStore; readonly key: string };
  readonly signal: AbortSignal;
}): Promise<RetriedRows> {
  const { span, signal } = options;
  const retried = new RetriedRows();
  const indices = range(span.retriedFrom, span.shards);
  for await (const { shard, failed } of readAhead(indices, shardsReadAtOnce, async (index) => {
    signal.throwIfAborted();
    const read = await readShard(options.store, options.shardKey(index));
    const outcome = options.outcomeOf(read);
    const marker = await readInputMarker(outcome.store, outcome.key, outcomeMarker);
    return { shard: read, failed: marker.failed };
  })) {
    retried.add(shard, failed);
  }
  return retried;
}

/**
 * Holds the keys of an artefact's rows against its shard.
 * @throws TrommelError `corrupt` where they are not the keys of the rows that did not fail, each once and in order
 */
export function checkRowKeys(
  name: string,
  keys: readonly string[],
  shard: Shard,
  failed: readonly FailedRow[],
): void {
  const expected = okKeys(shard, failed);
  const at = expected.findIndex((key, i) => keys[i] !== key);
  if (at < 0 && keys.length === expected.length) return;
  const found = at < 0 ? `${keys.length} rows` : `row ${at} is of ${JSON.stringify(keys[at] ?? null)}`;
  const right = at < 0 ? `${expected.length}` : JSON.stringify(expected[at]);
  throw new TrommelError(
    "corrupt",
    `failed to balance ${name}: it has ${found}, where shard ${shard.index} has ${right}. Remove it and its marker and resume`,
    { context: { name, shard: shard.index } },
  );
}

export async function putJson(store: ObjectStore, key: string, value: unknown): Promise<void> {
  await store.put(key, jsonBytes(value), { contentType: "application/json" });
}

/** Equal values give equal bytes. */
export function jsonBytes(value: unknown): Uint8Array {
  return Buffer.from(`${canonicalJson(value)}\n`, "utf8");
}
