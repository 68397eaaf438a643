import { createHash } from "node:crypto";
import { z } from "zod";
import { messageOf, TrommelError } from "../errors.js";
import type { ObjectStore, PutOptions } from "../store/object-store.js";
import { objectBytesAtMost } from "../store/read-bounds.js";
import { canonicalJson, sha256Hex } from "./canonical-json.js";
import { pause, rereading, unlessDamaged } from "./damage.js";
import { putJsonOnce } from "./json-artefact.js";

/**
 * Markers: the small JSON `<key>.json` written after the artefact `<key>`, with its hash, size and counts. An artefact
 * without a marker does not exist: its writer may have died half way.
 *
 * Data first, marker last, never overwrite. A repeat with the same bytes changes nothing; a repeat with other bytes
 * is a `conflict` and leaves the first as it is. An invalid marker, or one that does not match its data, does not
 * count: the stage that makes the artefact makes it again, and a reader removes it, so that it is made again.
 */

/** What every marker has; kinds of artefact add their own fields. */
export const markerSchema = z.looseObject({
  formatVersion: z.literal(1),
  /** The artefact's key in the same store. */
  key: z.string().min(1),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  sizeBytes: z.int().nonnegative(),
});

export type Marker = z.infer<typeof markerSchema>;

/** A marker has an entry for each failed image of its shard: at most 4096, with keys of 1024 bytes and some words each. */
const maxMarkerBytes = 16 * 1024 * 1024;

export function markerKeyOf(key: string): string {
  return `${key}.json`;
}

/**
 * Rounds of {@link writeWithMarker}; a second is needed only if two writers write different bytes at the same moment. On a
 * server without conditional writes three writers all gave up after five rounds in 4 of 1,500 trials, which may leave nothing
 * complete.
 */
const writeRounds = 8;

/**
 * Writes an artefact, then its marker with `extra` added (JSON values; it cannot replace the marker's own fields), and
 * checks that both exist. Safe to repeat and to run twice at once. Returns the existing marker.
 *
 * If two writers write different bytes, the one whose marker comes first wins, and the data of the other is corrected by
 * the writer that notices the difference: the winner writes its own again, the loser removes the marker that its data
 * made wrong. A loser that dies between the two leaves a marker with other data, which readers find by the hash.
 * @throws TrommelError `conflict` if an artefact with another hash exists
 */
export async function writeWithMarker(
  store: ObjectStore,
  key: string,
  bytes: Uint8Array,
  extra: Readonly<Record<string, unknown>> = {},
  options: Pick<PutOptions, "contentType"> = {},
): Promise<Marker> {
  const sha256 = sha256Hex(bytes);
  const marker: Marker = { ...extra, formatVersion: 1, key, sha256, sizeBytes: bytes.byteLength };
  const text = new TextEncoder().encode(`${canonicalJson(marker)}\n`);
  const putMarker = () => putJsonOnce(store, markerKeyOf(key), text);
  // Nearly always nothing exists there, and the write itself reports it, so no check comes before it.
  if ((await store.put(key, bytes, { ...options, ifAbsent: true })) === "written") await putMarker();
  for (let round = 1; round <= writeRounds; round += 1) {
    if (round > 2) await pause(round - 2);
    const existing = await unlessDamaged(findMarker(store, key));
    if (existing === "damaged") {
      await store.delete([markerKeyOf(key)]);
    } else if (existing === undefined) {
      if (!(await putData(store, key, bytes, options))) continue;
      await putMarker();
    } else if (existing.sha256 === sha256) {
      if (await holds(store, key, marker, bytes)) return existing;
      await store.put(key, bytes, options);
    } else {
      if (await holds(store, key, existing)) throw differs(store, existing, sha256);
      await store.delete([markerKeyOf(key)]);
    }
  }
  throw new TrommelError(
    "conflict",
    `cannot write ${store.url}/${key}: another writer keeps writing other bytes there. Try again later`,
    { retryable: true, context: { store: store.url, key } },
  );
}

/**
 * Existing data without a marker may be from any writer or version: it is replaced if it differs.
 * @returns false if it has got its marker meanwhile
 */
async function putData(
  store: ObjectStore,
  key: string,
  bytes: Uint8Array,
  options: Pick<PutOptions, "contentType">,
): Promise<boolean> {
  if ((await store.put(key, bytes, { ...options, ifAbsent: true })) === "written") return true;
  if (await holds(store, key, { sha256: sha256Hex(bytes), sizeBytes: bytes.byteLength }, bytes)) return true;
  if ((await store.head(markerKeyOf(key))) !== undefined) return false;
  await store.put(key, bytes, options);
  return true;
}

/**
 * Whether the existing data belongs to a marker.
 * @param bytes the expected data if available: an etag equal to their MD5 saves reading them back
 */
async function holds(
  store: ObjectStore,
  key: string,
  { sha256, sizeBytes }: Pick<Marker, "sha256" | "sizeBytes">,
  bytes?: Uint8Array,
): Promise<boolean> {
  const info = await store.head(key);
  if (info?.sizeBytes !== sizeBytes) return false;
  if (bytes !== undefined && info.etag === createHash("md5").update(bytes).digest("hex")) return true;
  // It may be another one by now.
  const existing = await unlessTooLarge(getUnlessMissing(store, key, sizeBytes));
  return existing !== undefined && sha256Hex(existing) === sha256;
}

/**
 * The marker of an artefact, checked against the schema of its kind.
 * @throws TrommelError `missing-input` if the marker does not exist, `corrupt` if it is invalid
 */
export async function readMarker(store: ObjectStore, key: string): Promise<Marker>;
export async function readMarker<Extended extends Marker>(
  store: ObjectStore,
  key: string,
  schema: z.ZodType<Extended>,
): Promise<Extended>;
export async function readMarker(
  store: ObjectStore,
  key: string,
  schema: z.ZodType<Marker> = markerSchema,
): Promise<Marker> {
  const marker = await findMarker(store, key, schema);
  if (marker !== undefined) return marker;
  throw new TrommelError(
    "missing-input",
    `cannot read ${store.url}/${key}: it has no marker (${markerKeyOf(key)}), so it is not complete. ` +
      `Run the stage that makes it`,
    { context: { store: store.url, key } },
  );
}

/** Like {@link readMarker}, but `undefined` if there is no marker. */
export async function findMarker(store: ObjectStore, key: string): Promise<Marker | undefined>;
export async function findMarker<Extended extends Marker>(
  store: ObjectStore,
  key: string,
  schema: z.ZodType<Extended>,
): Promise<Extended | undefined>;
export async function findMarker(
  store: ObjectStore,
  key: string,
  schema: z.ZodType<Marker> = markerSchema,
): Promise<Marker | undefined> {
  let bytes: Uint8Array;
  try {
    bytes = await store.get(markerKeyOf(key), { maxBytes: maxMarkerBytes });
  } catch (thrown) {
    if (isMissingObject(thrown)) return undefined;
    throw thrown;
  }
  return parseMarker(store, key, bytes, schema);
}

/**
 * An artefact's bytes, verified against its marker. Damaged ones are read again, twice, after a pause.
 * @throws TrommelError `missing-input` without a marker; `corrupt`, retryable, if the bytes do not match the marker
 */
export async function readWithMarker(
  store: ObjectStore,
  key: string,
): Promise<{ bytes: Uint8Array; marker: Marker }>;
export async function readWithMarker<Extended extends Marker>(
  store: ObjectStore,
  key: string,
  schema: z.ZodType<Extended>,
): Promise<{ bytes: Uint8Array; marker: Extended }>;
export async function readWithMarker(
  store: ObjectStore,
  key: string,
  schema: z.ZodType<Marker> = markerSchema,
): Promise<{ bytes: Uint8Array; marker: Marker }> {
  return rereading(async () => {
    const marker = await readMarker(store, key, schema);
    const bytes = await unlessTooLarge(getUnlessMissing(store, key, marker.sizeBytes));
    if (bytes === undefined) throw notAsMarked(store, marker, "is not there or is larger");
    const sha256 = sha256Hex(bytes);
    if (sha256 === marker.sha256) return { bytes, marker };
    throw notAsMarked(store, marker, `has ${bytes.byteLength} bytes with sha256 ${sha256}`);
  });
}

/** @throws TrommelError `too-large` for an object above `sizeBytes`, or above what is read whole */
async function getUnlessMissing(
  store: ObjectStore,
  key: string,
  sizeBytes: number,
): Promise<Uint8Array | undefined> {
  try {
    return await store.get(key, { maxBytes: Math.min(sizeBytes, objectBytesAtMost) });
  } catch (thrown) {
    if (isMissingObject(thrown)) return undefined;
    throw thrown;
  }
}

/** Undefined for an object that is larger than its marker says; one that nobody reads whole is an error. */
async function unlessTooLarge(reading: Promise<Uint8Array | undefined>): Promise<Uint8Array | undefined> {
  try {
    return await reading;
  } catch (thrown) {
    if (!(thrown instanceof TrommelError) || thrown.code !== "too-large") throw thrown;
    if (thrown.context["maxBytes"] === objectBytesAtMost) throw thrown;
    return undefined;
  }
}

/** Whether an artefact could not be written because another complete one with other bytes exists there. */
export function isOtherContent(thrown: unknown): boolean {
  return (
    thrown instanceof TrommelError && thrown.code === "conflict" && thrown.context["standing"] !== undefined
  );
}

/** A missing bucket is `not-found` too, but names no key: a user has to correct that. */
function isMissingObject(thrown: unknown): boolean {
  return thrown instanceof TrommelError && thrown.code === "not-found" && thrown.context["key"] !== undefined;
}

function parseMarker(store: ObjectStore, key: string, bytes: Uint8Array, schema: z.ZodType<Marker>): Marker {
  let reason: string;
  try {
    const parsed = schema.safeParse(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)));
    if (parsed.success && parsed.data.key === key) return parsed.data;
    reason = parsed.success ? `it speaks of '${parsed.data.key}'` : z.prettifyError(parsed.error);
  } catch (thrown) {
    reason = messageOf(thrown);
  }
  throw new TrommelError(
    "corrupt",
    `cannot read the marker ${store.url}/${markerKeyOf(key)}: ${reason}. Remove it, so that ${key} is made again`,
    { context: { store: store.url, key, damaged: true } },
  );
}

function differs(store: ObjectStore, existing: Marker, sha256: string): TrommelError {
  return new TrommelError(
    "conflict",
    `cannot write ${store.url}/${existing.key}: it already exists with sha256 ${existing.sha256} (new content has ${sha256}). ` +
      `Use another name, or remove it and its marker`,
    { context: { store: store.url, key: existing.key, standing: existing.sha256, given: sha256 } },
  );
}

function notAsMarked(store: ObjectStore, marker: Marker, found: string): TrommelError {
  return new TrommelError(
    "corrupt",
    `cannot read ${store.url}/${marker.key}: its marker says ${marker.sizeBytes} bytes with sha256 ` +
      `${marker.sha256}, and it ${found}. Remove both, so that it is made again`,
    {
      retryable: true,
      context: { store: store.url, key: marker.key, sha256: marker.sha256, damaged: true },
    },
  );
}
