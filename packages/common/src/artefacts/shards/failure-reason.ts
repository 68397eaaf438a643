import { z } from "zod";

/** Why an image has no embedding and no score: the closed list of the ledger's typed reasons. */
export const failureReason = z.enum([
  /** The file has no bytes. */
  "empty",
  /** A part of the picture is missing, whatever follows it in the file. */
  "truncated",
  /** The bytes are no picture in any format that we know. */
  "not-an-image",
  /** A picture or document in a format that we know and do not decode (SVG, PDF, HEIC, BMP, camera raw, some TIFF samples …). */
  "unsupported-format",
  /** More bytes than the recipe's `maxBytes`. */
  "too-large",
  /** More pixels, by its header, than the recipe's `maxPixels`. */
  "too-many-pixels",
  /** A known format, whole, that the decoder refuses, or whose samples are outside their range. */
  "decode-failed",
  /** The object was listed and is gone. */
  "not-found",
  /** The store does not let us read the object. */
  "forbidden",
  /** The object is in a storage class (GLACIER, DEEP_ARCHIVE …) from which it has to be restored before it can be read. */
  "archived",
  /** The store answered with an error of this object alone: another encryption key, a disabled key, a legal block … */
  "store-refused",
  /** Each time, reading or decoding took longer than its bound, while the store answered otherwise. */
  "timed-out",
  /** Each time, the store failed to give this object's bytes, while it answered otherwise. */
  "unreadable",
  /** An archive that ends early, or is encrypted, or is damaged there; what was read of it before counts as usual. */
  "damaged-archive",
  /** The object is not the one that was listed (its etag differs). */
  "changed",
  /** A worker died every time it had this image. */
  "crashed-worker",
]);

export type FailureReason = z.infer<typeof failureReason>;
