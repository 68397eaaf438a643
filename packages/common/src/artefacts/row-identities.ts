import { z } from "zod";
import { canonicalJson, sha256Bytes } from "../codec/canonical-json.js";
import type { ShardEntry } from "./listing.js";

/**
 * What the rows of a feature shard are of, so that another shard or run with the same fingerprint finds them.
 *
 * Two identities an image. That of its rows covers all that decides them beside the fingerprint: the file's bytes and
 * the views' numbers; no key and no place, so that copies, moved and touched files have it too. That of its listing,
 * place, key, size and etag, tells the same without reading the file, where it is just as it was when the rows were made.
 */

const listedBytes = 16;
const rowsBytes = 32;

/** In the marker of a feature shard: of every image that could be read, in shard order, one after another. */
export const packedIdentities = z.object({ listed: z.base64(), rows: z.base64() }).strict();
type PackedIdentities = z.infer<typeof packedIdentities>;

export interface RowIdentity {
  /** 16 bytes. */
  readonly listed: Uint8Array;
  /** 32 bytes. */
  readonly rows: Uint8Array;
}

/** @param source location of the listed prefix: etags tell versions of one object apart, not one object from another */
export function listedIdentity(source: string, { key, sizeBytes, etag }: ShardEntry): Uint8Array {
  return sha256Bytes(canonicalJson([source, key, sizeBytes, etag])).subarray(0, listedBytes);
}

interface Scratch {
  readonly floats: Float32Array;
  /** The same memory. */
  readonly bytes: Uint8Array;
}

function scratchOf(length: number): Scratch {
  const floats = new Float32Array(length);
  return { floats, bytes: new Uint8Array(floats.buffer) };
}

/** What is hashed for an image, one after another in the same place: as long as the views of a run are many. */
let hashed = scratchOf(0);

/**
 * @param contentSha256 of the file's bytes
 * @param views every view of the image, as it is drawn: float32 [V, 2, 3] and [V, 3, 4]
 */
export function rowsIdentity(
  contentSha256: Uint8Array,
  views: { readonly affine: Float32Array; readonly colour: Float32Array },
): Uint8Array {
  const { affine, colour } = views;
  const viewsAt = contentSha256.length / Float32Array.BYTES_PER_ELEMENT;
  const length = viewsAt + affine.length + colour.length;
  if (hashed.floats.length !== length) hashed = scratchOf(length);
  hashed.bytes.set(contentSha256);
  hashed.floats.set(affine, viewsAt);
  hashed.floats.set(colour, viewsAt + affine.length);
  return sha256Bytes(hashed.bytes);
}

export function packIdentities(identities: readonly RowIdentity[]): PackedIdentities {
  const pack = (part: keyof RowIdentity): string =>
    Buffer.concat(identities.map((identity) => identity[part])).toString("base64");
  return { listed: pack("listed"), rows: pack("rows") };
}

/** @returns undefined where a marker has none, as those of earlier versions, or not one for each image */
export function unpackIdentities(marker: {
  readonly ok: number;
  readonly images?: PackedIdentities | undefined;
}): RowIdentity[] | undefined {
  if (marker.images === undefined) return undefined;
  const listed = Buffer.from(marker.images.listed, "base64");
  const rows = Buffer.from(marker.images.rows, "base64");
  if (listed.length !== marker.ok * listedBytes || rows.length !== marker.ok * rowsBytes) return undefined;
  return Array.from({ length: marker.ok }, (_, i) => ({
    listed: listed.subarray(i * listedBytes, (i + 1) * listedBytes),
    rows: rows.subarray(i * rowsBytes, (i + 1) * rowsBytes),
  }));
}
