import {
  decodeHeadWeights,
  markerSchema,
  metrics as metricsSchema,
  parseJsonAs,
  runKeys,
  TrommelError,
  type HeadWeights,
  type Metrics,
  type ObjectStore,
} from "@trommel/common";
import { findCommitted, readInput, removeArtefact, type Marker } from "@trommel/common/codec";
import { z } from "zod";

/**
 * A run's head and its metrics: two artefacts, which must come from one training. A worker may stop between them, and on
 * other hardware the next one trains a head with other bytes. It then replaces the head, whose marker names the replaced
 * one, and names its own head in the marker of the metrics. So a head that replaced another has metrics that name it,
 * and a head that did not has metrics that name none.
 */

const metricsMarker = markerSchema.extend({
  /** In output order. */
  labels: z.array(z.string()).min(2),
  counts: z.array(
    z.object({ label: z.string(), train: z.int(), validation: z.int(), test: z.int().default(0) }),
  ),
  trainRows: z.int().positive(),
  /** sha256 of the head that they belong to, if that one replaced another. */
  head: z.string().optional(),
});
export type MetricsMarker = z.infer<typeof metricsMarker>;

/** The extra field of the marker of a head that replaced another one. @param sha256 of the other one, if there was one */
export function replacing(sha256: string | undefined): Readonly<Record<string, unknown>> {
  return sha256 === undefined ? {} : { replaces: sha256 };
}

/** What the marker of the metrics has to say of the head that they belong to. */
export function namedHead(head: Marker): { readonly head?: string } {
  return head["replaces"] === undefined ? {} : { head: head.sha256 };
}

/** Whether a run has both, of one training. Metrics that belong to no committed head are removed. */
export async function isTrained(store: ObjectStore, runId: string): Promise<boolean> {
  const keys = runKeys(runId);
  const head = await findCommitted(store, keys.head);
  const metrics = await findCommitted(store, keys.metrics, metricsMarker);
  if (metrics === undefined) return false;
  if (head !== undefined && metrics.head === namedHead(head).head) return true;
  await removeArtefact(store, keys.metrics);
  return false;
}

/** A run's trained head and what was measured of it, with the bytes of both. */
export interface TrainedArtefacts {
  readonly weights: HeadWeights;
  readonly weightBytes: Uint8Array;
  readonly metrics: Metrics;
  readonly metricsBytes: Uint8Array;
  readonly marker: MetricsMarker;
}

/** @throws TrommelError `missing-input` if one of them does not exist, or they are of two trainings: then the metrics are removed */
export async function readTrained(store: ObjectStore, runId: string): Promise<TrainedArtefacts> {
  const keys = runKeys(runId);
  const head = await readInput(store, keys.head);
  const { bytes, marker } = await readInput(store, keys.metrics, metricsMarker);
  if (marker.head !== namedHead(head.marker).head) {
    await removeArtefact(store, keys.metrics);
    throw new TrommelError(
      "missing-input",
      `cannot use ${keys.metrics}: it belongs to another head than ${keys.head}. It has been removed: resume the run, which trains the head again`,
      { context: { key: keys.metrics, removed: true } },
    );
  }
  return {
    weights: decodeHeadWeights(head.bytes, keys.head),
    weightBytes: head.bytes,
    metrics: parseJsonAs(metricsSchema, bytes, keys.metrics),
    metricsBytes: bytes,
    marker,
  };
}
