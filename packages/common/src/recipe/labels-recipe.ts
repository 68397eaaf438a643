import { z } from "zod";

/** Whether TextDecoder knows it. */
function isEncoding(name: string): boolean {
  try {
    return new TextDecoder(name).encoding !== "";
  } catch {
    return false;
  }
}

/** A table of labels, and how it is read. */
export const csvSource = z
  .object({
    type: z.literal("csv"),
    /** A path or location; null leaves it to `--labels`. */
    file: z.string().min(1).nullable().default(null),
    /** Column of the image's id. */
    idColumn: z.string().min(1).default("id"),
    /** Column of the image's label. */
    labelColumn: z.string().min(1).default("label"),
    /**
     * The character between the columns, or `tab`; null takes what a `sep=` line says, or of comma, semicolon, tab and vertical
     * bar the one that the header shows.
     */
    delimiter: z
      .string()
      .regex(/^(?:tab|[^"\r\n\w])$/u, "legal are one character, or tab")
      .nullable()
      .default(null),
    /**
     * How the file's characters are written, by a name of the Encoding Standard such as `windows-1252` or `shift_jis`; null is UTF-8, or
     * what the file's byte order mark says.
     */
    encoding: z
      .string()
      .min(1)
      .refine(
        isEncoding,
        "it is no encoding that is known; windows-1252, utf-16le, shift_jis and gb18030 are some",
      )
      .nullable()
      .default(null),
  })
  .strict();

/** The source of the images' labels. */
export const labelSource = z.discriminatedUnion("type", [
  /** The first folder of its key. */
  z.object({ type: z.literal("folders") }).strict(),
  /** A table with a header: the image's file name without its extension (or its whole key), and its label. */
  csvSource,
  /** A text file next to each image, with its name but for the extension: `<image>, <index or name of the class>`. */
  z
    .object({
      type: z.literal("sidecar"),
      /** Extension of the text files. */
      extension: z.string().startsWith(".").default(".txt"),
    })
    .strict(),
]);
export type LabelSource = z.infer<typeof labelSource>;

/** How the images are labelled. */
export const labelsRecipe = z
  .object({
    source: labelSource.prefault({ type: "folders" }),
    /** A path or location of a file of `name index` lines that fixes the order of the classes; null sorts them by name. */
    classes: z.string().min(1).nullable().default(null),
    /**
     * What becomes of classes whose names look alike, as `Glass`, `glass` and `glass ` do: `refuse` takes them for one that is
     * misspelt, `keep` for as many as there are.
     */
    lookAlikes: z.enum(["refuse", "keep"]).default("refuse"),
  })
  .strict();
