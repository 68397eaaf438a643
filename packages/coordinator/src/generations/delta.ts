import { canonicalJson, TrommelError, type ObjectStore } from "@trommel/common";
import { parseSealedAs, putJsonOnce, sealedJson } from "@trommel/common/codec";
import { countsByPattern, skipReason } from "@trommel/common/artefacts";
import { readBounds, readIfThere } from "@trommel/common/store";
import { z } from "zod";

const count = z.int().nonnegative();

/** `delta.json`: what a generation's listing found, once it is complete. */
const delta = z
  .object({
    formatVersion: z.literal(1),
    /** Shards of what is new or changed; those that keep a part's other rows come after them. */
    shards: count,
    /** Images in them. */
    images: count,
    /** Sums of all images that the listing has. */
    listed: z.object({ images: count, sizeBytes: count }).strict(),
    skippedByReason: z.record(z.string(), z.int().positive()),
    skippedKeys: z.array(z.object({ key: z.string(), reason: skipReason }).strict()),
    excluded: countsByPattern,
    withoutEffect: z
      .object({ include: z.array(z.string()), exclude: z.array(z.string()) })
      .strict()
      .nullable(),
    /** Positions of each part of the base that are out of date; null for all of them. In order of the parts. */
    outOfDate: z.array(z.tuple([count, z.array(count).min(1).nullable()])),
  })
  .strict();
export type Delta = z.infer<typeof delta>;

/** @returns undefined while the source is listed */
export async function findDelta(store: ObjectStore, key: string): Promise<Delta | undefined> {
  const body = await readIfThere(store, key, readBounds.dataset);
  return body === undefined ? undefined : parseSealedAs(delta, body, key);
}

/**
 * Writes it once: two coordinators may have listed the source at different times, and jobs follow the first.
 * @throws TrommelError `conflict`, retryable, if another one exists
 */
export async function writeDelta(store: ObjectStore, key: string, found: Delta): Promise<void> {
  if ((await putJsonOnce(store, key, sealedJson(found))) === "written") return;
  const existing = await findDelta(store, key);
  if (existing !== undefined && canonicalJson(existing) === canonicalJson(found)) return;
  throw new TrommelError(
    "conflict",
    `cannot write ${key}: another coordinator has listed the source meanwhile. The next try continues from what it found`,
    { retryable: true, context: { key } },
  );
}
