import type { FailedImage, ObjectStore, ScoringConfig, Shard } from "@trommel/common";
import { findColumns, type CarriedColumn } from "@trommel/common/artefacts";

/** The carried columns of a shard's scored images: what the source says of them, unchanged. */
export interface Carried {
  readonly columns: readonly CarriedColumn[];
  /** For each row of the scores the values in the order of the columns. */
  readonly values: readonly (readonly unknown[])[];
}

/**
 * @param key of the shard's columns; an entry without any has empty cells
 * @returns undefined if the scoring carries no column
 */
export async function readCarried(
  store: ObjectStore,
  key: string,
  { from }: Pick<ScoringConfig, "from">,
  { shard, failed }: { readonly shard: Shard; readonly failed: readonly FailedImage[] },
): Promise<Carried | undefined> {
  const columns = from?.type === "manifest" ? from.columns : [];
  if (columns.length === 0) return undefined;
  const kept = await findColumns(store, key, shard);
  const without = new Set(failed.map(({ position }) => position));
  const positions = [...shard.entries.keys()].filter((position) => !without.has(position));
  const byName = new Map(kept?.map(({ name, values }) => [name, values]));
  return {
    columns,
    values: positions.map((position) => columns.map(({ name }) => byName.get(name)?.[position] ?? null)),
  };
}
