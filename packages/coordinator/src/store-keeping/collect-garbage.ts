import type { ObjectStore } from "@trommel/common";
import { findGarbage } from "./find-garbage.js";
import { GarbageCount, type Garbage, type GarbageReport } from "./garbage.js";
import { References } from "./references.js";

/** Removed together, between two looks at the runs. */
const objectsAtOnce = 500;

export interface GarbageOptions {
  readonly store: ObjectStore;
  /** Else it is only counted. */
  readonly remove: boolean;
  readonly withBackbones: boolean;
  /** Objects younger than this are left. */
  readonly olderThanMs: number;
  readonly nowMs: number;
}

/**
 * Counts, and where it is asked for removes, what nothing refers to.
 *
 * A run that is opened meanwhile may refer to what was found: before each removal the runs are looked at again, and where
 * there is a new one, the search starts again. What such a run has found standing in the moment between that look and the
 * removal it misses later, and says so; resuming it makes that again.
 * @throws TrommelError `corrupt` for a run that cannot be read: then nothing is certain to be garbage
 */
export async function collectGarbage(options: GarbageOptions): Promise<GarbageReport> {
  const count = new GarbageCount();
  let young = 0;
  let isOver = false;
  while (!isOver) {
    young = 0;
    isOver = await collectOnce(options, count, (objects) => (young += objects));
  }
  const swept = await options.store.sweep(options.remove);
  count.add("partials", swept);
  return count.report(options.remove, young);
}

/** @returns false where a new run came in between */
async function collectOnce(
  { store, remove, withBackbones, olderThanMs, nowMs }: GarbageOptions,
  count: GarbageCount,
  onYoung: (objects: number) => void,
): Promise<boolean> {
  const references = await References.read(store);
  const writtenBeforeSeconds = Math.floor((nowMs - olderThanMs) / 1000);
  const search = { store, references, withBackbones, writtenBeforeSeconds, onYoung };
  let waiting: Garbage[] = [];
  let objects = 0;
  const removeWaiting = async (): Promise<boolean> => {
    if (waiting.length === 0) return true;
    if (await references.areOld()) return false;
    await removeInOrder(store, waiting);
    for (const { kind, keys, sizeBytes } of waiting) count.add(kind, { objects: keys.length, sizeBytes });
    waiting = [];
    objects = 0;
    return true;
  };
  for await (const garbage of findGarbage(search)) {
    const { kind, keys, sizeBytes } = garbage;
    if (!remove) {
      count.add(kind, { objects: keys.length, sizeBytes });
      continue;
    }
    waiting.push(garbage);
    objects += keys.length;
    if (objects >= objectsAtOnce && !(await removeWaiting())) return false;
  }
  return removeWaiting();
}

/** The first of each, then the rest: many are removed in one request, whose order is the store's own. */
async function removeInOrder(store: ObjectStore, garbage: readonly Garbage[]): Promise<void> {
  await store.delete(garbage.flatMap(({ keys }) => keys.slice(0, 1)));
  await store.delete(garbage.flatMap(({ keys }) => keys.slice(1)));
}
