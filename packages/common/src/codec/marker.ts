import { z } from "zod";
import { TrommelError } from "../errors.js";
import type { ObjectStore, PutOptions } from "../store/object-store.js";
import { canonicalJson, sha256Hex } from "./canonical-json.js";

/**
 * Markers: the small JSON `<key>.json` written after the artefact `<key>`, with its hash, size and counts. An artefact
 * without a marker does not exist: its writer may have died half way.
 *
 * Data first, marker last, never overwrite. A repeat with the same bytes changes nothing; a repeat with other bytes
 * is a `conflict` and leaves the first as it is.
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

/** A marker is counts and hashes, never lists that grow with the data. */
const maxMarkerBytes = 1024 * 1024;

function markerKeyOf(key: string): string {
  return `${key}.json`;
}

/**
 * Writes an artefact, then its marker with `extra` added (JSON values; it cannot replace the marker's own fields).
 * Safe to repeat and to run twice at once. Gives back the marker that stands.
 * @throws TrommelError `conflict` where a marker with another hash stands
 */
export async function writeWithMarker(
  store: ObjectStore,
  key: string,
  bytes: Uint8Array,
  extra: Readonly<Record<string, unknown>> = {},
  options: Pick<PutOptions, "contentType"> = {},
): Promise<Marker> {
  const sha256 = sha256Hex(bytes);
  const standing = await findMarker(store, key);
  if (standing !== undefined) return requireSame(store, standing, sha256);
  // Without a marker the bytes that may stand there are anybody's, perhaps of another version: written again.
  await store.put(key, bytes, options);
  const marker: Marker = { ...extra, formatVersion: 1, key, sha256, sizeBytes: bytes.byteLength };
  const text = new TextEncoder().encode(`${canonicalJson(marker)}\n`);
  const result = await store.put(markerKeyOf(key), text, { ifAbsent: true, contentType: "application/json" });
  return result === "written" ? marker : requireSame(store, await readMarker(store, key), sha256);
}

/**
 * The marker of an artefact, held to the schema of its kind.
 * @throws TrommelError `missing-input` where there is none, `corrupt` where it is not one
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
    `failed to read ${store.url}/${key}: it has no marker (${markerKeyOf(key)}), so it is not there as a whole. ` +
      `Run the stage that makes it`,
    { context: { store: store.url, key } },
  );
}

/** As {@link readMarker}, but `undefined` where there is none. */
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
 * An artefact's bytes, proved by its marker.
 * @throws TrommelError `missing-input` without a marker; `corrupt`, retryable, where the bytes are not the marker's
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
  const marker = await readMarker(store, key, schema);
  const bytes = await store.get(key).catch((thrown: unknown) => {
    if (thrown instanceof TrommelError && thrown.code === "not-found")
      throw notAsMarked(store, marker, "is not there");
    throw thrown;
  });
  const sha256 = sha256Hex(bytes);
  if (sha256 === marker.sha256) return { bytes, marker };
  throw notAsMarked(store, marker, `has ${bytes.byteLength} bytes with sha256 ${sha256}`);
}

/** A missing bucket is `not-found` too, but names no key: that one is for a person to mend. */
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
    reason = thrown instanceof Error ? thrown.message : String(thrown);
  }
  throw new TrommelError(
    "corrupt",
    `failed to read the marker ${store.url}/${markerKeyOf(key)}: ${reason}. Remove it, so that ${key} is made again`,
    { context: { store: store.url, key } },
  );
}

function requireSame(store: ObjectStore, standing: Marker, sha256: string): Marker {
  if (standing.sha256 === sha256) return standing;
  throw new TrommelError(
    "conflict",
    `failed to write ${store.url}/${standing.key}: it stands already with sha256 ${standing.sha256}, and ${sha256} ` +
      `was to be written. Use another name, or remove it and its marker`,
    { context: { store: store.url, key: standing.key, standing: standing.sha256, given: sha256 } },
  );
}

function notAsMarked(store: ObjectStore, marker: Marker, found: string): TrommelError {
  return new TrommelError(
    "corrupt",
    `failed to read ${store.url}/${marker.key}: its marker says ${marker.sizeBytes} bytes with sha256 ` +
      `${marker.sha256}, and it ${found}. Remove both, so that it is made again`,
    { retryable: true, context: { store: store.url, key: marker.key, sha256: marker.sha256 } },
  );
}
