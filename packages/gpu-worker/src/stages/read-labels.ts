import {
  labelLookup,
  labelTable,
  parseJsonAs,
  runKeys,
  sha256Hex,
  TrommelError,
  type LabelOf,
  type ObjectStore,
  type RunConfig,
} from "@trommel/common";

/**
 * Gives an image's label: by its folder, or by the run's table where the run has one.
 * @throws TrommelError `corrupt` where the table is not the one that the run was planned with, `not-found` without it
 */
export async function readLabelLookup(store: ObjectStore, config: RunConfig): Promise<LabelOf> {
  const { tableSha256 } = config.labels;
  if (tableSha256 === null) return labelLookup(null);
  const key = runKeys(config.id).labels;
  const bytes = await store.get(key);
  const found = sha256Hex(bytes);
  if (found !== tableSha256) {
    throw new TrommelError(
      "corrupt",
      `failed to read the labels ${store.url}/${key}: they have sha256 ${found}, and the run was planned with ` +
        `${tableSha256}. Put the file back, or train under another run id`,
      { context: { key, found, expected: tableSha256 } },
    );
  }
  return labelLookup(parseJsonAs(labelTable, bytes, key));
}
