import { z } from "zod";
import { parseJsonAs } from "../../parse.js";
import { readBounds } from "../../store/read-bounds.js";
import { readIfThere } from "../../store/read-if-there.js";
import type { ObjectStore } from "../../store/object-store.js";
import { TrommelError } from "../../errors.js";
import type { Shard } from "./listing.js";
import { shardHash } from "../runs/fingerprint.js";
import { carriedColumn } from "../runs/source-form.js";
import { sha256 } from "../backbones/backbone-spec.js";

/**
 * The carried columns of a shard's entries, in an artefact of their own: neither the shard nor its hash holds them. It is written
 * before the shard, so that a shard that exists has its columns.
 */
const shardColumns = z
  .object({
    formatVersion: z.literal(1),
    /** Hash of the shard's entries. */
    shard: sha256,
    columns: z.array(
      z
        .object({
          ...carriedColumn.shape,
          /** One for each entry, in shard order; null where the source has none. */
          values: z.array(z.json()),
        })
        .strict(),
    ),
  })
  .strict();
export type ShardColumns = z.infer<typeof shardColumns>;

/**
 * The carried columns of a shard.
 * @param key of the artefact
 * @returns undefined if the source carries none
 * @throws TrommelError `corrupt`
 */
export async function findColumns(
  store: ObjectStore,
  key: string,
  shard: Shard,
): Promise<ShardColumns["columns"] | undefined> {
  const body = await readIfThere(store, key, readBounds.dataset);
  if (body === undefined) return undefined;
  const { shard: of, columns } = parseJsonAs(shardColumns, body, key);
  if (
    of === shardHash(shard.entries) &&
    columns.every(({ values }) => values.length === shard.entries.length)
  )
    return columns;
  throw new TrommelError(
    "corrupt",
    `cannot read ${key}: it is not of the shard that it is named for. Put it back from a copy, or score into another --output`,
    { context: { key } },
  );
}
