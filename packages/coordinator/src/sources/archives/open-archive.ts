import { TrommelError, type ObjectInfo, type ObjectStore } from "@trommel/common";
import { gunzipped, rangesOf, type ByteSource } from "@trommel/common/archives";
import { openParquet, requireCodecs } from "@trommel/common/parquet";
import { locationOf } from "@trommel/common/store";
import { damagedAt, type Found } from "./member.js";
import { readImageTable, type ImageTableForm } from "./read-image-table.js";
import { readTar } from "./read-tar.js";
import { readZip } from "./read-zip.js";

export type ArchiveKind = "tar" | "tar.gz" | "zip" | "parquet";

const kinds: readonly (readonly [ending: RegExp, kind: ArchiveKind])[] = [
  [/\.tar$/i, "tar"],
  [/\.(?:tar\.gz|tgz)$/i, "tar.gz"],
  [/\.zip$/i, "zip"],
  [/\.parquet$/i, "parquet"],
];

/** What kind of archive an object is, by its name; undefined if none. */
export function archiveKind(key: string): ArchiveKind | undefined {
  return kinds.find(([ending]) => ending.test(key))?.[1];
}

/** Opens an archive. What is wrong with it is found, and not thrown; a store that fails throws. */
export function openArchive(
  store: ObjectStore,
  object: ObjectInfo,
  form: ImageTableForm,
): { readonly source: ByteSource; readonly found: AsyncIterable<Found> } {
  const kind = archiveKind(object.key);
  const source = kind === "tar.gz" ? gunzipped(store, object) : rangesOf(store, object);
  return { source, found: readAll() };

  async function* readAll(): AsyncGenerator<Found> {
    try {
      if (kind === "zip") yield* readZip(source, object.sizeBytes);
      else if (kind === "parquet") yield* readTable();
      else yield* readTar(source, kind === "tar.gz");
    } catch (thrown) {
      if (thrown instanceof TrommelError && thrown.code !== "bad-dataset") throw thrown;
      const { code, message } = thrown as { readonly code?: unknown; readonly message: string };
      // The codes of zlib: the stream is damaged, or ends early.
      const isOfArchive =
        thrown instanceof TrommelError || (typeof code === "string" && code.startsWith("Z_"));
      if (!isOfArchive) throw thrown;
      const isGzip = kind === "tar.gz" && !(thrown instanceof TrommelError);
      yield damagedAt(0, isGzip ? `it is no whole gzip stream (${message})` : message);
    }
  }

  async function* readTable(): AsyncGenerator<Found> {
    const name = locationOf(store.url, object.key);
    const table = await openParquet(store, object, name);
    requireCodecs(table, name);
    yield* readImageTable(table, { pictures: source, names: rangesOf(store, object) }, form, name);
  }
}
