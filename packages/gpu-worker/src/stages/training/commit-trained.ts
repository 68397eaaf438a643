import { runKeys, TrommelError, writeWithMarker, type ObjectStore } from "@trommel/common";
import { findMarker, removeArtefact, isOtherContent, type Marker } from "@trommel/common/codec";
import { isTrained, namedHead, replacing, type MetricsMarker } from "../inputs/trained-head.js";

/** A second round is needed only if another worker's bytes are there, a third only if two workers write at the same time. */
const roundsAtMost = 8;

export interface Trained {
  /** `head/weights.safetensors` */
  readonly weights: Uint8Array;
  /** `head/metrics.json` */
  readonly metrics: Uint8Array;
  /** Extra fields of the marker of the metrics. */
  readonly counts: Pick<MetricsMarker, "labels" | "counts" | "trainRows">;
}

/**
 * Writes a head and its metrics, unless another worker has written both. A head of other bytes without metrics is
 * replaced: its writer stopped before it was done. Metrics of another head are replaced too, see `inputs/trained-head.ts`.
 * @throws TrommelError `conflict`, retryable, if other workers keep writing other bytes
 */
export async function commitTrained(store: ObjectStore, runId: string, trained: Trained): Promise<void> {
  const keys = runKeys(runId);
  let replaces: string | undefined;
  for (let round = 0; round < roundsAtMost; round += 1) {
    const head = await writeUnlessOther(store, keys.head, trained.weights, replacing(replaces));
    if (head.kind === "other") {
      if (await isTrained(store, runId)) return;
      replaces = head.sha256;
      await removeArtefact(store, keys.head);
      continue;
    }
    const counts = { ...trained.counts, ...namedHead(head.marker) };
    const metrics = await writeUnlessOther(store, keys.metrics, trained.metrics, counts);
    // The head may have been replaced since. While it is ours, so must the metrics be.
    const isOurs = (await findMarker(store, keys.head))?.sha256 === head.marker.sha256;
    if (metrics.kind === "other" && isOurs) await removeArtefact(store, keys.metrics);
    else if (await isTrained(store, runId)) return;
  }
  throw new TrommelError(
    "conflict",
    `cannot write the head of ${runId}: other workers keep writing other bytes. Try again later`,
    { retryable: true, context: { run: runId } },
  );
}

type Written =
  { readonly kind: "ours"; readonly marker: Marker } | { readonly kind: "other"; readonly sha256: string };

async function writeUnlessOther(
  store: ObjectStore,
  key: string,
  bytes: Uint8Array,
  extra: Readonly<Record<string, unknown>>,
): Promise<Written> {
  try {
    return { kind: "ours", marker: await writeWithMarker(store, key, bytes, extra) };
  } catch (thrown) {
    if (!isOtherContent(thrown)) throw thrown;
    return { kind: "other", sha256: String((thrown as TrommelError).context["standing"]) };
  }
}
