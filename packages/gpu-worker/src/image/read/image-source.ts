import { toTrommelError, TrommelError, type ObjectStore } from "@trommel/common";
import type { PatientReader } from "./read-patiently.js";
import { withTimeout } from "@trommel/common/waiting";

/** Time limit for a store to list its first key. */
const probeTimeoutMs = 60_000;

/** Reads listed images from a store. */
export function imageSource(store: ObjectStore): Pick<PatientReader, "read" | "probe"> {
  return {
    read: ({ key, etag }, maxBytes, signal) => store.get(key, { etag, maxBytes, signal }),
    probe: () => probeStore(store),
  };
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
