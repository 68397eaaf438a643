import { openStore, TrommelError, type ObjectInfo, type ObjectStore } from "@trommel/common";
import type { ArchivesForm } from "@trommel/common/artefacts";
import { openParquet, requireCodecs, type ParquetObject } from "@trommel/common/parquet";
import { locationOf } from "@trommel/common/store";
import { unreadable } from "./archive-source.js";
import { archiveKind, openArchive } from "./open-archive.js";
import { requireColumns, type ImageTableForm } from "./read-image-table.js";

/**
 * Looks at archives before anything is queued: that there is one, that the first of them begins as one, and that the first Parquet
 * table has the columns that are asked for.
 * @throws TrommelError `bad-dataset` naming the archive and the offset, or the columns that there are
 */
export async function checkArchives(location: string, form: Omit<ArchivesForm, "type">): Promise<void> {
  const store = openStore(location);
  try {
    for await (const object of store.list(form.object ?? "")) {
      if (archiveKind(object.key) === undefined) continue;
      if (form.object !== null && object.key !== form.object) continue;
      if (archiveKind(object.key) === "parquet") await checkTable(store, object, form, form.object !== null);
      const { found, source } = openArchive(store, object, form);
      try {
        for await (const first of found) {
          if ("damage" in first && form.object !== null)
            throw unreadable(locationOf(store.url, object.key), first.damage);
          return;
        }
      } finally {
        source.close();
      }
      if (form.object !== null) throw nothingIn(locationOf(store.url, object.key), "it holds no file");
      return;
    }
    throw nothingIn(store.url, "no object there ends in .tar, .tar.gz, .tgz, .zip or .parquet");
  } finally {
    store.close();
  }
}

/** A damaged archive among several is a failed image; a single one is refused. */
async function checkTable(
  store: ObjectStore,
  object: ObjectInfo,
  form: ImageTableForm,
  isSingle: boolean,
): Promise<void> {
  const name = locationOf(store.url, object.key);
  let table: ParquetObject;
  try {
    table = await openParquet(store, object, name);
    requireCodecs(table, name);
  } catch (thrown) {
    if (!isSingle && thrown instanceof TrommelError && thrown.code === "bad-dataset") return;
    throw thrown;
  }
  requireColumns(table, form, name);
}

function nothingIn(location: string, why: string): TrommelError {
  return new TrommelError(
    "bad-dataset",
    `cannot read archives from ${location}: ${why}. Check the location`,
    {
      context: { location },
    },
  );
}
