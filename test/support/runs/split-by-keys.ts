import { compareUtf8, type Recipe } from "@trommel/common";

/**
 * The validation split as a few lines over whole keys, which hold every key of a dataset: what the coordinator's choice
 * from ranks alone is compared with.
 */
export function chooseByKeys(
  keysByLabel: ReadonlyMap<string, readonly string[]>,
  options: Pick<Recipe["validation"], "fraction" | "of"> & {
    readonly rankOf: (key: string) => number;
    readonly remembered: ReadonlySet<string>;
  },
): string[] {
  const smallest = Math.min(...[...keysByLabel.values()].map((keys) => keys.length));
  const validation: string[] = [];
  for (const [label, keys] of keysByLabel) {
    const share =
      options.of === "smallest-class"
        ? Math.floor(options.fraction * smallest)
        : Math.round(options.fraction * keys.length);
    const quota = Math.max(1, share);
    const kept = keys.filter((key) => options.remembered.has(key));
    const wanted = Math.min(quota - kept.length, keys.length - kept.length - 1);
    if (kept.length === keys.length) throw new Error(`${label} has nothing to train on`);
    validation.push(...kept);
    if (wanted > 0) {
      const others = keys.filter((key) => !options.remembered.has(key));
      validation.push(...lowestByHash(others, options.rankOf, wanted));
    }
  }
  return validation.sort(compareUtf8);
}

function lowestByHash(keys: readonly string[], rankOf: (key: string) => number, count: number): string[] {
  return keys
    .map((key) => ({ key, rank: rankOf(key) }))
    .sort((a, b) => a.rank - b.rank || compareUtf8(a.key, b.key))
    .slice(0, count)
    .map(({ key }) => key);
}
