import { canonicalJson, openStore, TrommelError, type ObjectStore } from "@trommel/common";
import {
  PartList,
  sortedKeys,
  type SortedPart,
  type SortingConfig,
  type SortLedger,
} from "@trommel/common/artefacts";
import { jsonFile, putJson } from "@trommel/common/codec";
import { locationOf, range, readAhead } from "@trommel/common/store";
import type { StageContext, StageOutcome } from "./context.js";
import { required } from "./inputs/read-required.js";
import { findSortedPart, readSortingConfig } from "./sorting/read-sorting.js";

/** Sorted parts that are read at once. */
const partsAtOnce = 16;

/**
 * Close a sorting: sorted parts → `unplaced.jsonl`, `ledger.json`.
 *
 * In: what became of every part (none may be missing). Out: the images that were not placed, in the order of the parts, and last the
 * ledger, with which the sorting is complete. A retry writes the same bytes again.
 * @throws TrommelError `missing-input` for a part
 */
export async function closeSort(
  sortingId: string,
  context: Pick<StageContext, "store" | "signal">,
): Promise<StageOutcome> {
  const config = await readSortingConfig(context.store, sortingId);
  const into = openStore(config.into);
  try {
    const sums = { images: 0, placed: 0, below: 0, unplaced: 0, removed: 0 };
    const byReason = new Map<string, number>();
    const keys = sortedKeys(sortingId);
    const lines = async function* (): AsyncGenerator<Uint8Array> {
      for await (const part of partsOf(config, into, context.signal)) {
        sums.images += part.rows;
        sums.placed += part.placed;
        sums.below += part.below;
        sums.unplaced += part.unplaced.length;
        sums.removed += part.removed;
        for (const { reason } of part.unplaced) byReason.set(reason, (byReason.get(reason) ?? 0) + 1);
        if (part.unplaced.length === 0) continue;
        yield Buffer.from(part.unplaced.map((image) => `${JSON.stringify(image)}\n`).join(""), "utf8");
      }
    };
    await into.putStream(keys.unplaced, lines(), { contentType: "application/jsonl" });
    if (
      sums.images !== config.images ||
      sums.images !== sums.placed + sums.below + sums.unplaced ||
      sums.removed > sums.placed
    )
      throw new TrommelError(
        "internal",
        `cannot balance ${sortingId}: ${canonicalJson(sums)} of ${config.images} images`,
      );
    const ledger: SortLedger = {
      ...{ formatVersion: 1, scoring: config.scoring, into: config.into, ...sums },
      unplacedByReason: Object.fromEntries([...byReason].sort()),
      unplacedList: locationOf(config.into, keys.unplaced),
      parts: new PartList(config.parts).length,
    };
    await putJson(into, keys.ledger, jsonFile(ledger));
    return { images: 0, failed: 0 };
  } finally {
    into.close();
  }
}

async function* partsOf(
  { id, parts }: SortingConfig,
  into: ObjectStore,
  signal: AbortSignal,
): AsyncGenerator<SortedPart> {
  yield* readAhead(range(0, new PartList(parts).length), partsAtOnce, async (index) => {
    signal.throwIfAborted();
    return required(sortedKeys(id).part(index), await findSortedPart(into, id, index));
  });
}
