import { toTrommelError, TrommelError, type ObjectStore } from "@trommel/common";
import type { PatientReader } from "./read-patiently.js";
import { withinBound } from "@trommel/common/waiting/within-bound";

/** How long a store may take to show its first key. */
const probeTimeoutMs = 60_000;

/** A store as the place that listed pictures are read from. */
export function pictureSource(store: ObjectStore): Pick<PatientReader, "read" | "probe"> {
  return {
    read: ({ key, etag }, maxBytes, signal) => store.get(key, { etag, maxBytes, signal }),
    probe: () => probeStore(store),
  };
}

/**
 * A folder that is not mounted here, a bucket that went away, a token that ran out, a server that stopped and a share
 * that hangs look like missing, forbidden or slow files one by one. They must not be committed as such.
 * @throws TrommelError retryable, where nothing can be listed: then the shard is for another try or another worker
 */
async function probeStore(store: ObjectStore): Promise<void> {
  try {
    await withinBound({ timeoutMs: probeTimeoutMs, doing: `list ${store.url}` }, async () => {
      for await (const _ of store.list("", { withUnusable: true })) return;
    });
  } catch (thrown) {
    const { code, message } = toTrommelError(thrown);
    throw new TrommelError(code, message, { retryable: true, cause: thrown });
  }
}
