import { z } from "zod";
import { labelOfKey } from "./listing.js";

/** `labels.json`: the labels of a dataset whose folders do not tell them. An image without one is not trained on. */
export const labelTable = z
  .object({
    formatVersion: z.literal(1),
    /** [key, label] in UTF-8 byte order of the keys, each key once. */
    labels: z.array(z.tuple([z.string(), z.string()])),
  })
  .strict();
export type LabelTable = z.infer<typeof labelTable>;

/** Gives an image's label by its key; undefined where it has none. */
export type LabelOf = (key: string) => string | undefined;

/** @param table null where folders label */
export function labelLookup(table: LabelTable | null): LabelOf {
  if (table === null) return labelOfKey;
  const byKey = new Map(table.labels);
  return (key) => byKey.get(key);
}
