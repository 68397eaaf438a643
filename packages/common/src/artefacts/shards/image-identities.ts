import { z } from "zod";
import { canonicalJson, sha256Latin1 } from "../../codec/canonical-json.js";
import type { ShardEntry } from "./listing.js";

/**
 * What the rows of a feature shard are of, so that another shard or run with the same fingerprint finds them.
 *
 * Each image has two identities. The identity of its rows covers all that decides them except the fingerprint: the file's
 * bytes and the views' numbers; no key and no place, so that copies, moved and touched files have it too. The identity of
 * its listing (place, key, size and etag) finds the same rows without reading the file, if the file has not changed.
 */

const listedBytes = 16;
const contentBytes = 32;

const fileBytes = 16;

/**
 * In the marker of a feature shard: of every image that could be read, in shard order, one after another. `files`, the first
 * half of each file's sha256, is missing in markers of earlier versions and of images that were copied from such a shard.
 */
export const packedIdentities = z
  .object({ listed: z.base64(), rows: z.base64(), files: z.base64().optional() })
  .strict();
type PackedIdentities = z.infer<typeof packedIdentities>;

/** Every view of an image, as it is drawn: float32 [V, 2, 3] and [V, 3, 4]. */
interface ViewNumbers {
  readonly affine: Float32Array;
  readonly colour: Float32Array;
}

/**
 * The identities of a shard's images, by their number. Kept side by side as a marker has them, and not as an object for
 * each: a worker makes several hundred a second.
 */
export class ImageIdentities {
  readonly count: number;
  readonly #listed: Buffer;
  readonly #content: Buffer;
  /** Zeros where it is not known. */
  readonly #files: Buffer;

  private constructor(listed: Buffer, content: Buffer, files?: Buffer) {
    this.count = content.length / contentBytes;
    this.#listed = listed;
    this.#content = content;
    this.#files = files ?? Buffer.alloc(this.count * fileBytes);
  }

  /** All zero, to be set. */
  static blank(count: number): ImageIdentities {
    return new ImageIdentities(Buffer.alloc(count * listedBytes), Buffer.alloc(count * contentBytes));
  }

  /** @returns undefined where a marker has none, as those of earlier versions, or not one for each image */
  static unpack(marker: {
    readonly ok: number;
    readonly images?: PackedIdentities | undefined;
  }): ImageIdentities | undefined {
    if (marker.images === undefined) return undefined;
    const listed = Buffer.from(marker.images.listed, "base64");
    const content = Buffer.from(marker.images.rows, "base64");
    if (listed.length !== marker.ok * listedBytes || content.length !== marker.ok * contentBytes)
      return undefined;
    const files = marker.images.files === undefined ? undefined : Buffer.from(marker.images.files, "base64");
    if (files !== undefined && files.length !== marker.ok * fileBytes) return undefined;
    return new ImageIdentities(listed, content, files);
  }

  pack(): PackedIdentities {
    const isKnown = Array.from({ length: this.count }).every((_, image) => this.file(image) !== undefined);
    return {
      listed: this.#listed.toString("base64"),
      rows: this.#content.toString("base64"),
      ...(isKnown && this.count > 0 ? { files: this.#files.toString("base64") } : {}),
    };
  }

  /** 16 bytes. */
  listed(image: number): Buffer {
    return this.#listed.subarray(image * listedBytes, (image + 1) * listedBytes);
  }

  /** 32 bytes. */
  content(image: number): Buffer {
    return this.#content.subarray(image * contentBytes, (image + 1) * contentBytes);
  }

  /** 16 bytes of the sha256 of the image's file, whatever its key and views; undefined where it is not known. */
  file(image: number): Buffer | undefined {
    const hash = this.#files.subarray(image * fileBytes, (image + 1) * fileBytes);
    return hash.some((byte) => byte !== 0) ? hash : undefined;
  }

  /** 32 bits that stand for the whole: identities are hashes, and any of their bits are as good as others. */
  listedToken(image: number): number {
    return this.#listed.readUInt32LE(image * listedBytes);
  }

  contentToken(image: number): number {
    return this.#content.readUInt32LE(image * contentBytes);
  }

  /** @param source location of the listed prefix: etags tell versions of one object apart, not one object from another */
  setListed(image: number, source: string, entry: ShardEntry): void {
    this.#listed.write(listedDigest(source, entry), image * listedBytes, listedBytes, "latin1");
  }

  /** @param contentSha256 of the file's bytes, see {@link sha256Latin1} */
  setContent(image: number, contentSha256: string, views: ViewNumbers): void {
    this.#content.write(contentDigest(contentSha256, views), image * contentBytes, contentBytes, "latin1");
    this.#files.write(contentSha256, image * fileBytes, fileBytes, "latin1");
  }

  /** Takes over what another says of an image's rows. @param file as {@link file} gives it */
  copyContent(image: number, content: Uint8Array, file: Uint8Array | undefined): void {
    this.#content.set(content, image * contentBytes);
    const files = this.#files.subarray(image * fileBytes, (image + 1) * fileBytes);
    if (file === undefined) files.fill(0);
    else files.set(file);
  }

  /** Those of every other image, in order. */
  without(images: ReadonlySet<number>): ImageIdentities {
    if (images.size === 0) return this;
    const kept = Array.from({ length: this.count }, (_, image) => image).filter(
      (image) => !images.has(image),
    );
    return new ImageIdentities(
      Buffer.concat(kept.map((image) => this.listed(image))),
      Buffer.concat(kept.map((image) => this.content(image))),
      Buffer.concat(kept.map((image) => this.#files.subarray(image * fileBytes, (image + 1) * fileBytes))),
    );
  }
}

/** Whether that is the identity of an entry's listing. */
export function isListedAs(listed: Uint8Array, source: string, entry: ShardEntry): boolean {
  const stated = Buffer.from(listed.buffer, listed.byteOffset, listed.byteLength).toString("latin1");
  return stated === listedDigest(source, entry).slice(0, listedBytes);
}

function listedDigest(source: string, { key, sizeBytes, etag, at }: ShardEntry): string {
  const listed = [source, key, sizeBytes, etag];
  return sha256Latin1(canonicalJson(at === undefined ? listed : [...listed, at]));
}

/** @returns the identity of the rows of a file with these bytes and views, 32 bytes */
export function contentIdentity(contentSha256: string, views: ViewNumbers): Buffer {
  return Buffer.from(contentDigest(contentSha256, views), "latin1");
}

/** What is hashed for an image: its file's sha256 and the numbers of its views, one after another. */
interface Hashed {
  readonly bytes: Buffer;
  /** The same memory, as numbers. */
  readonly floats: Float32Array;
}

/** Overwritten by each image: most have as many views as the one before. */
let hashed = hashedOf(0);

function hashedOf(numbers: number): Hashed {
  const floats = new Float32Array(contentBytes / Float32Array.BYTES_PER_ELEMENT + numbers);
  return { floats, bytes: Buffer.from(floats.buffer) };
}

function contentDigest(contentSha256: string, { affine, colour }: ViewNumbers): string {
  const viewsAt = contentBytes / Float32Array.BYTES_PER_ELEMENT;
  if (hashed.floats.length !== viewsAt + affine.length + colour.length)
    hashed = hashedOf(affine.length + colour.length);
  hashed.bytes.write(contentSha256, "latin1");
  hashed.floats.set(affine, viewsAt);
  hashed.floats.set(colour, viewsAt + affine.length);
  return sha256Latin1(hashed.bytes);
}
