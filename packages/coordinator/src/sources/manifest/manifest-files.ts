import { locationOf, splitLocation } from "@trommel/common/store";
import { openStore, TrommelError, type ObjectInfo, type ObjectStore } from "@trommel/common";

/** How the rows of a manifest are written, by its name. */
export type ManifestFormat = "csv" | "jsonl" | "parquet";

const formats: readonly (readonly [ending: RegExp, format: ManifestFormat])[] = [
  [/\.(?:csv|tsv)$/i, "csv"],
  [/\.(?:jsonl|ndjson)$/i, "jsonl"],
  [/\.parquet$/i, "parquet"],
];

export interface ManifestFile {
  readonly store: ObjectStore;
  readonly object: ObjectInfo;
  readonly format: ManifestFormat;
  /** Its whole location, for messages. */
  readonly name: string;
}

/**
 * The files of a manifest in the order of their keys: the one that the location names, or those under it.
 * @throws TrommelError `not-found` if it is neither, `bad-dataset` for a file of another kind
 */
export async function openManifest(
  location: string,
): Promise<{ readonly files: readonly ManifestFile[]; readonly close: () => void }> {
  const single = await openSingle(location);
  if (single !== undefined) return { files: [single], close: () => single.store.close() };
  const store = openStore(location);
  try {
    const files: ManifestFile[] = [];
    for await (const object of store.list("")) {
      const format = formatOf(object.key);
      if (format === undefined || object.key.split("/").some((part) => /^[._]/.test(part))) continue;
      files.push({ store, object, format, name: locationOf(store.url, object.key) });
    }
    if (files.length > 0) return { files, close: () => store.close() };
  } catch (thrown) {
    store.close();
    if (!(thrown instanceof TrommelError) || thrown.code !== "not-found") throw thrown;
  }
  store.close();
  throw new TrommelError(
    "not-found",
    `cannot read the manifest ${location}: there is no such file, and no .csv, .tsv, .jsonl, .ndjson or .parquet file under it. Give the path or s3:// location of one`,
    { context: { location } },
  );
}

async function openSingle(location: string): Promise<ManifestFile | undefined> {
  const { folder, key } = splitLocation(location);
  if (key === "") return undefined;
  const store = openStore(folder);
  const object = await store.head(key).catch((thrown: unknown) => {
    store.close();
    throw thrown;
  });
  if (object === undefined) {
    store.close();
    return undefined;
  }
  const format = formatOf(key);
  if (format !== undefined) return { store, object, format, name: location };
  store.close();
  throw new TrommelError(
    "bad-dataset",
    `cannot read the manifest ${location}: its name ends in none of .csv, .tsv, .jsonl, .ndjson and .parquet. Name it for what it is`,
    { context: { location } },
  );
}

function formatOf(key: string): ManifestFormat | undefined {
  return formats.find(([ending]) => ending.test(key))?.[1];
}
