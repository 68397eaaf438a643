import { inflateRawSync } from "node:zlib";
import { messageOf, TrommelError } from "../errors.js";
import type { EntryPlace } from "../artefacts/shards/entry-place.js";
import { decodePage } from "./parquet-page.js";

const localHeaderBytes = 30;
const localSignature = 0x04034b50;

/**
 * A picture's bytes from the bytes of its range.
 * @param sizeBytes of the picture, as it was listed
 * @throws TrommelError `corrupt` with `archive` in its context: the archive is damaged there
 */
export function unpack(
  bytes: Uint8Array,
  { object, form, range }: EntryPlace,
  sizeBytes: number,
): Uint8Array {
  if (form === undefined || form === "gzip") return bytes;
  try {
    const picture = "page" in form ? fromPage(bytes, form.page) : fromZip(bytes, form.zip, sizeBytes);
    if (picture.length === sizeBytes) return picture;
    throw new Error(`it has ${picture.length} bytes, and ${sizeBytes} were listed`);
  } catch (thrown) {
    const why = messageOf(thrown);
    throw damagedArchive({ object, offset: range?.[0] ?? 0 }, why, thrown);
  }
}

/** @param why ends in no full stop */
export function damagedArchive(
  { object, offset }: { readonly object: string; readonly offset: number },
  why: string,
  cause?: unknown,
): TrommelError {
  return new TrommelError(
    "corrupt",
    `cannot unpack what is at byte ${offset} of ${object}: ${why}. Make the archive again`,
    { cause, context: { archive: why, object, offset } },
  );
}

type Form = Exclude<NonNullable<EntryPlace["form"]>, "gzip">;

function fromZip(
  bytes: Uint8Array,
  { method, packedBytes }: Extract<Form, { zip: unknown }>["zip"],
  sizeBytes: number,
): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < localHeaderBytes || view.getUint32(0, true) !== localSignature)
    throw new Error("no file of a zip archive begins there");
  const start = localHeaderBytes + view.getUint16(26, true) + view.getUint16(28, true);
  const packed = bytes.subarray(start, start + packedBytes);
  if (packed.length < packedBytes) throw new Error("the archive ends before the file does");
  return method === "stored" ? packed : inflateRawSync(packed, { maxOutputLength: Math.max(1, sizeBytes) });
}

/** Pictures of one page follow one another, and it is decoded once for all of them. */
let lastPage: { readonly bytes: Uint8Array; readonly values: ArrayLike<unknown> } | undefined;

function fromPage(
  bytes: Uint8Array,
  { value, ...column }: Extract<Form, { page: unknown }>["page"],
): Uint8Array {
  if (lastPage?.bytes !== bytes) lastPage = { bytes, values: decodePage(bytes, column).values };
  const picture = lastPage.values[value];
  if (picture instanceof Uint8Array) return picture;
  throw new Error(`its page has no picture ${value}`);
}
