import type { ObjectStore, RunConfig } from "@trommel/common";

/** Runs that are worked on at once, and some more. */
const configsAtMost = 16;

interface Remembered {
  readonly etag: string;
  readonly config: RunConfig;
}

const byStore = new WeakMap<ObjectStore, Map<string, Remembered>>();

/**
 * A run's configuration as it was last read, where the store says that the same object still stands: every shard asks for
 * it. It is asked each time, for a run may be removed and made anew under its id.
 * @param read reads and checks it; what it gives is frozen
 */
export async function rememberedConfig(
  store: ObjectStore,
  key: string,
  read: () => Promise<RunConfig>,
): Promise<RunConfig> {
  const etag = await etagOf(store, key);
  const known = byStore.get(store)?.get(key);
  if (etag !== undefined && known?.etag === etag) return known.config;
  const config = frozen(await read());
  // What was read is what the etag is of only where that stands before and after.
  if (etag !== undefined && (await etagOf(store, key)) === etag) remember(store, key, { etag, config });
  return config;
}

/** Undefined where it is not there, or the store states none. */
async function etagOf(store: ObjectStore, key: string): Promise<string | undefined> {
  return (await store.head(key))?.etag || undefined;
}

function remember(store: ObjectStore, key: string, entry: Remembered): void {
  const configs = byStore.get(store) ?? new Map<string, Remembered>();
  byStore.set(store, configs);
  configs.delete(key);
  configs.set(key, entry);
  for (const oldest of configs.keys()) {
    if (configs.size <= configsAtMost) break;
    configs.delete(oldest);
  }
}

/** Many shards share it. */
function frozen<T>(value: T): T {
  if (typeof value === "object" && value !== null) Object.values(Object.freeze(value)).forEach(frozen);
  return value;
}
