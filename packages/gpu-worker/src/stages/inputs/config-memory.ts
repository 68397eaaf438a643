import type { ObjectStore, RunConfig } from "@trommel/common";

/** Runs that are worked on at once, and some more. */
const configsAtMost = 16;

interface Remembered {
  readonly etag: string;
  readonly config: RunConfig;
}

const byStore = new WeakMap<ObjectStore, Map<string, Remembered>>();

/**
 * A run's configuration as it was last read, if the store still has the same object: every shard needs it. The store is
 * asked each time, because a run may be removed and another one written under its id.
 * @param read reads and checks it; its result is frozen
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
  // The etag belongs to what was read only if it is the same before and after.
  if (etag !== undefined && (await etagOf(store, key)) === etag) remember(store, key, { etag, config });
  return config;
}

/** Undefined if the object does not exist, or the store states no etags. */
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
