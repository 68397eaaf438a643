import {
  openStore,
  toTrommelError,
  TrommelError,
  type FailureReason,
  type ObjectStore,
  type ShardEntry,
} from "@trommel/common";
import { ArchiveRanges } from "./archive-ranges.js";
import { isObjectLocation, locateObject, openObjects } from "@trommel/common/store";
import type { PatientReader } from "./read-patiently.js";
import { settledFailure } from "./settled-failure.js";
import { withTimeout } from "@trommel/common/waiting";

/** Time limit for a store to list its first key. */
const probeTimeoutMs = 60_000;

interface ImageSource extends Pick<PatientReader, "read" | "probe"> {
  readonly requireDelivery: () => Promise<void>;
  /** Lets go of what is held of archives. */
  readonly close: () => void;
}

/** Stores of images that are not under the source, by their locations. */
export type OtherStores = ReadonlyMap<string, ObjectStore>;

/**
 * Reads listed images from a store.
 * @param others of the entries that say where they are
 * @param entries those of a shard, in order: what lies side by side in an archive is read at once
 */
export function imageSource(
  store: ObjectStore,
  others: OtherStores = new Map(),
  entries: readonly ShardEntry[] = [],
): ImageSource {
  const ranges = new ArchiveRanges(entries);
  const inPlace = others.size > 0;
  return {
    read: async (entry, maxBytes, signal) => {
      const { store: from, key } = objectOf(entry, store, others);
      const bytes =
        entry.at?.range === undefined
          ? await from.get(key, { etag: entry.etag, maxBytes, signal })
          : await ranges.read(from, key, entry, signal);
      delivering.add(from);
      return bytes;
    },
    // A bucket or server that an image names itself may have nothing else, or nothing that may be listed.
    probe: () => (inPlace ? Promise.resolve() : probeStore(store)),
    close: () => ranges.close(),
    requireDelivery: () => (inPlace ? requireAny(others) : requireDelivery(store)),
  };
}

/** {@link imageSource} with stores of its own. @param location of the source */
export function openImages(
  location: string,
  entries: readonly ShardEntry[],
): { readonly files: ImageSource; readonly close: () => void } {
  const store = openStore(location);
  const others = new Map(otherRoots(entries).map((root) => [root, openObjects(root)]));
  const files = imageSource(store, others, entries);
  return {
    files,
    close: () => {
      files.close();
      store.close();
      for (const other of others.values()) other.close();
    },
  };
}

function objectOf(
  { key, at }: ShardEntry,
  store: ObjectStore,
  others: OtherStores,
): { readonly store: ObjectStore; readonly key: string } {
  if (at === undefined) return { store, key };
  if (!isObjectLocation(at.object)) return { store, key: at.object };
  const located = locateObject(at.object);
  const other = others.get(located.root);
  if (other !== undefined) return { store: other, key: located.key };
  throw new TrommelError("internal", `cannot read ${at.object}: ${located.root} is not open`);
}

/** The stores that entries name themselves. */
export function otherRoots(entries: readonly ShardEntry[]): string[] {
  const roots = new Set<string>();
  for (const { at } of entries)
    if (at !== undefined && isObjectLocation(at.object)) roots.add(locateObject(at.object).root);
  return [...roots];
}

/** Stores that have given at least one object while they were open. */
const delivering = new WeakSet<ObjectStore>();

/** Whether a store that gives nothing at all may be the cause. An archive gives its objects once they are restored. */
export function isRefused(reason: FailureReason | undefined): boolean {
  return reason === "forbidden" || reason === "store-refused";
}

/** Listed objects that are tried until the store gives one or refuses one. */
const triedAtMost = 32;

/** What says nothing of the store: an archive gives its objects once they are restored, and an object may be gone or replaced. */
const ofObjects: ReadonlySet<FailureReason | undefined> = new Set(["archived", "not-found", "changed"]);

/**
 * Called after no file of a shard was read, and some were refused. A store that gives some objects refuses these; one that gives
 * none would make every image of a run a failed one. If no other object was read before, the first listed one decides that is
 * neither archived nor gone.
 * @throws TrommelError `forbidden`, retryable: other shards may have been read by the next try
 */
async function requireDelivery(store: ObjectStore): Promise<void> {
  if (delivering.has(store)) return;
  let tried = 0;
  for await (const { key } of store.list("")) {
    if (tried === triedAtMost) return;
    tried += 1;
    // One byte is asked for: an object that is too large for that is given.
    const error = await store.get(key, { maxBytes: 1 }).then(
      () => undefined,
      (thrown: unknown) => toTrommelError(thrown),
    );
    const reason = error && settledFailure(error)?.reason;
    if (ofObjects.has(reason)) continue;
    if (error === undefined || !isRefused(reason)) return;
    throw new TrommelError(
      "forbidden",
      `cannot read from ${store.url}: the store lists its objects and gives none of those that were tried: ${error.message}`,
      { retryable: true, context: error.context },
    );
  }
}

/**
 * Called after no image of a shard was read, and some were refused.
 * @throws TrommelError `forbidden`, retryable, if none of the stores has ever given one
 */
function requireAny(stores: OtherStores): Promise<void> {
  for (const store of stores.values()) if (delivering.has(store)) return Promise.resolve();
  const names = [...stores.keys()].slice(0, 5).join(", ");
  throw new TrommelError(
    "forbidden",
    `cannot read from ${names}: no image of a shard was given, and some were refused. Check the worker's credentials for each, then resume`,
    { retryable: true },
  );
}

/**
 * Lists one key. If a folder is not mounted, a bucket is deleted, a token has expired, a server is down or a share hangs,
 * each file looks missing, forbidden or slow; such failures must not be committed.
 * @throws TrommelError retryable, if nothing can be listed: the shard is retried later or by another worker
 */
async function probeStore(store: ObjectStore): Promise<void> {
  try {
    await withTimeout({ timeoutMs: probeTimeoutMs, doing: `list ${store.url}` }, async () => {
      for await (const _ of store.list("", { withUnusable: true })) return;
    });
  } catch (thrown) {
    const { code, message } = toTrommelError(thrown);
    throw new TrommelError(code, message, { retryable: true, cause: thrown });
  }
}
