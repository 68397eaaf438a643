import { toTrommelError, TrommelError, type FailureReason, type ObjectStore } from "@trommel/common";
import type { PatientReader } from "./read-patiently.js";
import { settledFailure } from "./settled-failure.js";
import { withTimeout } from "@trommel/common/waiting";

/** Time limit for a store to list its first key. */
const probeTimeoutMs = 60_000;

interface ImageSource extends Pick<PatientReader, "read" | "probe"> {
  readonly requireDelivery: () => Promise<void>;
}

/** Reads listed images from a store. */
export function imageSource(store: ObjectStore): ImageSource {
  return {
    read: async ({ key, etag }, maxBytes, signal) => {
      const bytes = await store.get(key, { etag, maxBytes, signal });
      delivering.add(store);
      return bytes;
    },
    probe: () => probeStore(store),
    requireDelivery: () => requireDelivery(store),
  };
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
