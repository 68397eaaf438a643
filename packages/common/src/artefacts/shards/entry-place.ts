import { z } from "zod";

/** How a picture lies in what is read of its object. */
const entryForm = z.union([
  /** The object is gzipped and read from its first byte; the range is one of its content. */
  z.literal("gzip"),
  /** A file of a zip archive, from its local header on. */
  z
    .object({
      zip: z.object({ method: z.enum(["stored", "deflate"]), packedBytes: z.int().nonnegative() }).strict(),
    })
    .strict(),
  /** A value of a page of a Parquet column: its number among those that are not null, and how many parents of it may be. */
  z
    .object({
      page: z
        .object({ codec: z.string(), level: z.int().nonnegative(), value: z.int().nonnegative() })
        .strict(),
    })
    .strict(),
]);

/** The place of a picture's bytes, if they are not the object with its key under the source. */
export const entryPlace = z
  .object({
    /** The object: a key under the source, or a whole location (`s3://`, `file:`, `https://`), which no key looks like. */
    object: z.string().min(1),
    /** Offset and length of what is read of the object; absent for all of it. */
    range: z.tuple([z.int().nonnegative(), z.int().nonnegative()]).optional(),
    /** Absent where the picture is just what is read. */
    form: entryForm.optional(),
    /** Set if this is no picture: the archive is damaged there, and that is a failed image. */
    damaged: z.object({ offset: z.int().nonnegative(), why: z.string() }).strict().optional(),
  })
  .strict();
export type EntryPlace = z.infer<typeof entryPlace>;
