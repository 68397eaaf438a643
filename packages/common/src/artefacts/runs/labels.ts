import { z } from "zod";
import { sha256Hex } from "../../codec/canonical-json.js";
import { TrommelError } from "../../errors.js";
import { parseJsonAs } from "../../parse.js";
import type { ObjectStore } from "../../store/object-store.js";
import { readBounds } from "../../store/read-bounds.js";
import { labelOfKey } from "../shards/listing.js";
import { runKeys } from "../store-keys.js";
import type { RunConfig } from "./run.js";

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

/**
 * How a run's images are labelled: by its `labels.json`, or by their folders where it has none.
 * @throws TrommelError `not-found`, `corrupt` where `labels.json` is not the one that `run.json` names
 */
export async function readLabelLookup(
  store: ObjectStore,
  config: Pick<RunConfig, "id" | "labels">,
): Promise<LabelOf> {
  const { tableSha256 } = config.labels;
  if (tableSha256 === null) return labelLookup(null);
  const key = runKeys(config.id).labels;
  const bytes = await store.get(key, readBounds.dataset);
  const found = sha256Hex(bytes);
  if (found === tableSha256) return labelLookup(parseJsonAs(labelTable, bytes, key));
  throw new TrommelError(
    "corrupt",
    `cannot read ${key}: it has sha256 ${found}, and run.json says ${tableSha256}. Train again under another id (--run)`,
    { context: { key, found, expected: tableSha256 } },
  );
}
