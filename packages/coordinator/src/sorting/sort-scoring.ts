import {
  canonicalJson,
  openStore,
  parseJsonAs,
  sha256Hex,
  TrommelError,
  type ObjectStore,
  type ScoringConfig,
} from "@trommel/common";
import { generationOutput, PartList, partsOf } from "@trommel/common/artefacts";
import { jsonBytes, putJson } from "@trommel/common/codec";
import { locationOf, partInside, readIfThere } from "@trommel/common/store";
import { requireSuccess } from "../run-control/require-success.js";
import { sortedPart, sortPart, type SortedPart, type SortHow } from "./sorted-part.js";

/** What sorting a scoring came to: images = placed + below + unplaced. */
export interface SortLedger {
  readonly scoring: string;
  readonly into: string;
  readonly images: number;
  readonly placed: number;
  readonly below: number;
  readonly unplaced: number;
  readonly unplacedByReason: Readonly<Record<string, number>>;
  /** Location of `unplaced.jsonl`, which names them. */
  readonly unplacedList: string;
}

export interface SortOptions {
  readonly into: string;
  readonly how: SortHow;
  readonly min: number;
  readonly signal: AbortSignal;
  readonly onPart?: (done: number, parts: number) => void;
}

/**
 * Sorts the pictures of a finished scoring into a folder per label.
 *
 * In: its parts. Out: `<label>/<key>` under the target, and there under `_trommel/sorts/<id>/` what became of each part, the
 * pictures that were not placed, and the ledger, written last. Nothing is overwritten. A second try continues where the first one ended.
 * @throws TrommelError `conflict` where the scoring is not complete, `invalid-argument` for a target that lies in the source or around it
 */
export async function sortScoring(
  store: ObjectStore,
  config: ScoringConfig,
  { into: target, how, min, signal, onPart }: SortOptions,
): Promise<SortLedger> {
  refuseNested(config.source, target);
  const [output, source, into] = [openStore(config.output), openStore(config.source), openStore(target)];
  const identity = sha256Hex(canonicalJson({ scoring: config.id, into: target, how, min })).slice(0, 12);
  const root = `_trommel/sorts/${identity}`;
  try {
    const success = await requireSuccess(output, `sort ${config.id}`);
    const parts = new PartList(partsOf(success));
    // The place of a part in the list is another one in each generation.
    const { folder } = generationOutput(success.generation?.number ?? 0);
    const places = { store, scoringId: config.id, output, source, into, how, min, signal };
    const sums = { images: 0, placed: 0, below: 0, unplaced: 0 };
    const byReason = new Map<string, number>();
    const lines: string[] = [];
    for (let index = 0; index < parts.length; index += 1) {
      signal.throwIfAborted();
      const key = `${root}/${folder}part-${String(index).padStart(5, "0")}.json`;
      const done = await findSorted(into, key);
      const part = done ?? (await sortPart(parts.at(index), places));
      if (done === undefined) await putJson(into, key, jsonBytes(part));
      sums.images += part.rows;
      sums.placed += part.placed;
      sums.below += part.below;
      sums.unplaced += part.unplaced.length;
      for (const { key: picture, reason } of part.unplaced) {
        byReason.set(reason, (byReason.get(reason) ?? 0) + 1);
        lines.push(`${JSON.stringify({ key: picture, reason })}\n`);
      }
      onPart?.(index + 1, parts.length);
    }
    if (sums.images !== sums.placed + sums.below + sums.unplaced)
      throw new TrommelError(
        "internal",
        `cannot balance the sorting of ${config.id}: ${canonicalJson(sums)}`,
      );
    const list = `${root}/unplaced.jsonl`;
    await into.put(list, Buffer.from(lines.join("")), { contentType: "application/jsonl" });
    const ledger: SortLedger = {
      ...{ scoring: config.id, into: target, ...sums },
      unplacedByReason: Object.fromEntries([...byReason].sort()),
      unplacedList: locationOf(target, list),
    };
    await putJson(into, `${root}/ledger.json`, jsonBytes({ formatVersion: 1, ...ledger }));
    return ledger;
  } finally {
    for (const place of [output, source, into]) place.close();
  }
}

async function findSorted(into: ObjectStore, key: string): Promise<SortedPart | undefined> {
  const body = await readIfThere(into, key);
  return body === undefined ? undefined : parseJsonAs(sortedPart, body, key);
}

/** Sorted pictures under the source would be listed as pictures the next time, and a source under the target might be one of its labels. */
function refuseNested(source: string, target: string): void {
  if (partInside(source, target) === undefined && partInside(target, source) === undefined) return;
  throw new TrommelError(
    "invalid-argument",
    `cannot sort ${source} into ${target}: one of them is inside the other. Choose an --into outside the pictures`,
  );
}
