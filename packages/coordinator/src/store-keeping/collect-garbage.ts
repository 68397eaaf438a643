import { openStore, type ObjectStore } from "@trommel/common";
import { findGarbage } from "./find-garbage.js";
import { GarbageCount, type Garbage, type GarbageReport } from "./garbage.js";
import { References } from "./references.js";

/** Objects removed between two checks of the runs. */
const objectsAtOnce = 500;

export interface GarbageOptions {
  readonly store: ObjectStore;
  /** If false, garbage is only counted. */
  readonly remove: boolean;
  readonly withBackbones: boolean;
  /** Younger objects are kept. */
  readonly olderThanMs: number;
  readonly nowMs: number;
}

/**
 * Counts, and on request removes, the objects that nothing refers to.
 *
 * A run that starts meanwhile may refer to them: before each removal the runs are read again, and if there is a new one
 * the search restarts. If such a run saw an object between that check and the removal, it fails later with a
 * message that names the object; resuming the run makes it again.
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

/** @returns false if a new run appeared in between */
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
    await removeInOrder(
      store,
      waiting.filter(({ location }) => location === undefined),
    );
    await removeElsewhere(waiting);
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

/** What lies outside the store, in one place after another. */
async function removeElsewhere(garbage: readonly Garbage[]): Promise<void> {
  for (const place of new Set(garbage.flatMap(({ location }) => location ?? []))) {
    const store = openStore(place);
    try {
      await removeInOrder(
        store,
        garbage.filter(({ location }) => location === place),
      );
    } finally {
      store.close();
    }
  }
}

/** The first of each, then the rest: many are removed in one request, in an order that the store chooses. */
async function removeInOrder(store: ObjectStore, garbage: readonly Garbage[]): Promise<void> {
  await store.delete(garbage.flatMap(({ keys }) => keys.slice(0, 1)));
  await store.delete(garbage.flatMap(({ keys }) => keys.slice(1)));
}
