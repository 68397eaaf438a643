import { openStore, type BackboneSpec, type ImportOptions } from "@trommel/common";
import { openBackboneSource } from "./backbone/backbone-source.js";
import { importBackbone } from "./backbone/import-backbone.js";

/** `trommel backbone import`: from any location into the store. */
export async function importFromLocation(
  options: ImportOptions,
  say: (line: string) => void,
): Promise<BackboneSpec> {
  const { storeUrl, source, sha256, ...rest } = options;
  const store = openStore(storeUrl);
  try {
    const opened = openBackboneSource(source, sha256 === undefined ? {} : { sha256 });
    return await importBackbone({ ...withoutUndefined(rest), source: opened, store, log: say });
  } finally {
    store.close();
  }
}

/** Optional fields that zod gives as undefined, left out. */
function withoutUndefined<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  const entries = Object.entries(value).filter(([, field]) => field !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]: Exclude<T[K], undefined> };
}
