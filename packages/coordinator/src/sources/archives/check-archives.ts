import { openStore, TrommelError } from "@trommel/common";
import type { ArchivesForm } from "@trommel/common/artefacts";
import { locationOf } from "@trommel/common/store";
import { unreadable } from "./archive-source.js";
import { archiveKind, openArchive } from "./open-archive.js";

/**
 * Looks at archives before anything is queued: that there is one, and that the first of them begins as one.
 * @throws TrommelError `bad-dataset` naming the archive and the offset
 */
export async function checkArchives(location: string, form: Omit<ArchivesForm, "type">): Promise<void> {
  const store = openStore(location);
  try {
    for await (const object of store.list(form.object ?? "")) {
      if (archiveKind(object.key) === undefined) continue;
      if (form.object !== null && object.key !== form.object) continue;
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

function nothingIn(location: string, why: string): TrommelError {
  return new TrommelError(
    "bad-dataset",
    `cannot read archives from ${location}: ${why}. Check the location`,
    {
      context: { location },
    },
  );
}
