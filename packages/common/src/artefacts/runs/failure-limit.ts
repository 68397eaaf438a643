import { z } from "zod";
import { parseSealedAs, sealedJson } from "../../codec/sealed-json.js";
import { putJson } from "../../codec/json-artefact.js";
import { TrommelError } from "../../errors.js";
import type { ObjectStore } from "../../store/object-store.js";
import { readIfThere } from "../../store/read-if-there.js";
import { readGeneration } from "../generations/scoring-generation.js";
import { findListing } from "../shards/find-shard.js";
import { scoringKeys } from "../store-keys.js";

/**
 * `failure-limit.json`: how many images of a scoring may fail before it stops. It is no part of what the scoring is: a resume may
 * give another one.
 */
const failureLimit = z
  .object({
    formatVersion: z.literal(1),
    most: z.number().nonnegative(),
    /** `percent` is of the images that the listing has, so that it says nothing until the listing is complete. */
    unit: z.enum(["images", "percent"]),
  })
  .strict();
export type FailureLimit = z.infer<typeof failureLimit>;

/**
 * @param asked a number of images, or a percentage such as `2%` or `0.5%`
 * @throws TrommelError `invalid-argument`
 */
export function parseFailureLimit(asked: number | string): FailureLimit {
  const parts = /^(\d+(?:\.\d+)?)(%?)$/.exec(String(asked));
  const most = Number(parts?.[1] ?? NaN);
  const unit = parts?.[2] === "%" ? "percent" : "images";
  if (unit === "percent" ? most <= 100 : Number.isSafeInteger(most)) return { formatVersion: 1, most, unit };
  throw new TrommelError(
    "invalid-argument",
    `cannot stop at ${JSON.stringify(asked)} failed images (--max-failures): it is neither a whole number nor a percentage up to 100. Give such as 500 or 2%`,
  );
}

/** Replaces the limit of a scoring. @param limit undefined for none */
export async function writeFailureLimit(
  store: ObjectStore,
  scoringId: string,
  limit: FailureLimit | undefined,
): Promise<void> {
  const key = scoringKeys(scoringId).failureLimit;
  if (limit === undefined) await store.delete([key]);
  else await putJson(store, key, sealedJson(limit));
}

/**
 * Stops a scoring of which too many images failed.
 * @throws TrommelError `too-many-failures`
 */
export async function requireFewFailures(
  store: ObjectStore,
  scoringId: string,
  countFailed: () => Promise<number>,
): Promise<void> {
  const keys = scoringKeys(scoringId);
  const body = await readIfThere(store, keys.failureLimit);
  if (body === undefined) return;
  const { most, unit } = parseSealedAs(failureLimit, body, keys.failureLimit);
  const images = unit === "images" ? null : await countListed(store, scoringId);
  if (images === undefined) return;
  const failed = await countFailed();
  const allowed = images === null ? most : Math.floor((most * images) / 100);
  if (failed <= allowed) return;
  const of = images === null ? "" : ` of ${images}`;
  const limit = images === null ? String(most) : `${most}%`;
  throw new TrommelError(
    "too-many-failures",
    `cannot go on with ${scoringId}: ${failed}${of} images failed, and --max-failures ${limit} allows ${allowed}. 'trommel errors ${scoringId}' lists them; 'trommel resume ${scoringId} --max-failures <more>' continues it`,
    { context: { id: scoringId, failed, allowed } },
  );
}

/** Images that the last generation lists; undefined until its listing is complete. */
async function countListed(store: ObjectStore, scoringId: string): Promise<number | undefined> {
  const { keys } = await readGeneration(store, scoringId);
  return (await findListing(store, keys.listing))?.images;
}
