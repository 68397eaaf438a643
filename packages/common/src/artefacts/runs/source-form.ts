import { z } from "zod";

/**
 * What a carried column holds. An `integer` beyond 2^53 is a text of its digits, a `date` and a `timestamp` are texts as
 * `parquet/instants.ts` writes them; `json` is any value of JSON.
 */
const columnType = z.enum(["text", "integer", "number", "boolean", "date", "timestamp", "json"]);

/** A column of a manifest that is carried into the scores. */
export const carriedColumn = z
  .object({
    name: z.string().min(1),
    type: columnType,
    /** For a timestamp alone: the unit that it is written in, and whether it is an instant in UTC or the time on some clock. */
    instant: z
      .object({ unit: z.enum(["us", "ns"]), utc: z.boolean() })
      .strict()
      .optional(),
  })
  .strict();
export type CarriedColumn = z.infer<typeof carriedColumn>;

/** A table with a row for each image. */
const manifestForm = z
  .object({
    type: z.literal("manifest"),
    /** Absolute location of the table, or of a prefix of several. */
    location: z.string(),
    /** Whether keys lie under the run's dataset or the scoring's source; if not, each row names a whole location. */
    hasPrefix: z.boolean(),
    keyColumn: z.string().min(1),
    /** Null if no column labels. */
    labelColumn: z.string().min(1).nullable(),
    columns: z.array(carriedColumn),
  })
  .strict();
export type ManifestForm = z.infer<typeof manifestForm>;

/** Archives under the prefix: tar, zip, and Parquet with the images in a column. */
const archivesForm = z
  .object({
    type: z.literal("archives"),
    /** The key of the one archive that is read; null for every archive under the prefix. */
    object: z.string().min(1).nullable(),
    /** For tables of images; null takes the only column that holds pictures. */
    imageColumn: z.string().min(1).nullable(),
    /** For tables of images; null takes the path next to the picture's bytes, or the row's number. */
    keyColumn: z.string().min(1).nullable(),
    /** For tables of images, and the field of a sample's `.json`; null takes `label`, `cls` or `class` of the latter. */
    labelColumn: z.string().min(1).nullable(),
  })
  .strict();
export type ArchivesForm = z.infer<typeof archivesForm>;

/** What lists the images of a run or scoring, where that is not the prefix itself. */
export const sourceForm = z.discriminatedUnion("type", [manifestForm, archivesForm]);
export type SourceForm = z.infer<typeof sourceForm>;
