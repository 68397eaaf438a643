import type { FailedImage, ObjectStore, ScoringConfig, Shard } from "@trommel/common";
import { findColumns } from "@trommel/common/artefacts";

/** The carried columns of a shard's scored images: what the source says of them, unchanged. */
export interface Carried {
  readonly names: readonly string[];
  /** For each row of the scores the values in the order of the names. */
  readonly values: readonly (readonly unknown[])[];
}

/**
 * @param key of the shard's columns; an image that is tried again has none, and its cells are empty
 * @returns undefined if the scoring carries no column
 */
export async function readCarried(
  store: ObjectStore,
  key: string,
  { from }: Pick<ScoringConfig, "from">,
  { shard, failed }: { readonly shard: Shard; readonly failed: readonly FailedImage[] },
): Promise<Carried | undefined> {
  const columns = from?.columns ?? [];
  if (columns.length === 0) return undefined;
  const kept = await findColumns(store, key, shard);
  const without = new Set(failed.map(({ position }) => position));
  const positions = [...shard.entries.keys()].filter((position) => !without.has(position));
  const byName = new Map(kept?.map(({ name, values }) => [name, values]));
  const names = columns.map(({ name }) => name);
  return {
    names,
    values: positions.map((position) => names.map((name) => byName.get(name)?.[position] ?? null)),
  };
}
