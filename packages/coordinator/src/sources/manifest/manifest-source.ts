import { TrommelError, type ObjectInfo, type ObjectStore } from "@trommel/common";
import type { ManifestForm } from "@trommel/common/artefacts";
import { isObjectLocation, locateObject, mapAhead, openObjects } from "@trommel/common/store";
import { tidyText } from "../../labels/text/check-label.js";
import type { ImageSource, ListedImage } from "../image-source.js";
import { ListedObjects } from "./listed-objects.js";
import { carriedValue } from "./carried-values.js";
import { openManifest } from "./manifest-files.js";
import { manifestRows } from "./manifest-rows.js";
import type { TableRow } from "./table-row.js";

/** Objects that are looked up at once: enough to hide a bucket's latency. */
const headsAtOnce = 64;

/** A row of the manifest that names an image. */
interface ManifestRow extends Pick<TableRow, "line" | "cell"> {
  readonly file: string;
  readonly key: string;
}

/**
 * The images that a manifest names, in its order. The manifest was checked when the run or scoring was resolved; each object is
 * looked at, or listed by a bucket whose keys are in its order; one that is not there is listed without bytes, so that it is a failed image.
 * @param prefix what keys are under
 */
export function manifestSource(form: ManifestForm, prefix: ObjectStore): ImageSource {
  const { columns, keyColumn, labelColumn } = form;
  const others = new OtherStores();
  const own = [keyColumn, ...(labelColumn === null ? [] : [labelColumn])];
  async function* rows(more: readonly string[]): AsyncGenerator<ManifestRow> {
    const manifest = await openManifest(form.location);
    try {
      for (const file of manifest.files)
        for await (const { line, cell } of manifestRows(file, [...own, ...more]))
          yield { file: file.name, line, cell, key: requireText(file.name, line, cell(keyColumn)) };
    } finally {
      manifest.close();
    }
  }
  const nameOf = ({ key, cell }: ManifestRow): ListedImage => ({
    key,
    sizeBytes: 0,
    etag: "",
    ...(isObjectLocation(key) ? { at: { object: key } } : {}),
    ...(labelColumn === null ? {} : { label: labelText(cell(labelColumn)) }),
    ...(columns.length === 0 ? {} : { carried: columns.map(({ name }) => carriedValue(cell(name))) }),
  });
  const head = async (location: string): Promise<ObjectInfo | undefined> => {
    const { store, key } = isObjectLocation(location)
      ? others.find(location)
      : { store: prefix, key: location };
    const found = await store.head(key);
    // Without an etag the content alone says whether the image has changed.
    return found?.etag === "" && store.headByContent !== undefined ? store.headByContent(key) : found;
  };
  const lookUp = async (image: ListedImage, listed: ListedObjects | undefined): Promise<ListedImage> => {
    const { key } = image;
    const known = listed === undefined || isObjectLocation(key) ? "unknown" : await listed.find(key);
    const found = await (known === "unknown" ? head(key) : Promise.resolve(known)).catch(
      (thrown: unknown) => {
        // The worker meets it again, and says so in the ledger.
        if (thrown instanceof TrommelError && ["forbidden", "not-found"].includes(thrown.code))
          return undefined;
        throw thrown;
      },
    );
    return found === undefined ? image : { ...image, sizeBytes: found.sizeBytes, etag: found.etag };
  };
  return {
    url: form.location,
    anyOrder: true,
    columns,
    async *labelled(more) {
      for await (const { key, cell, file, line } of rows(more))
        yield {
          ...{ key, file, line },
          label: labelColumn === null ? undefined : labelText(cell(labelColumn)),
          others: more.map((column) => labelText(cell(column)) ?? ""),
        };
    },
    async *list(_, { passed = 0, keysOnly = false } = {}) {
      async function* images(): AsyncGenerator<ListedImage> {
        let number = 0;
        for await (const row of rows(columns.map(({ name }) => name))) {
          number += 1;
          if (number > passed) yield nameOf(row);
        }
      }
      if (keysOnly) {
        yield* images();
        return;
      }
      // In a folder a look costs less than its listing.
      const listed = prefix.url.startsWith("s3:") ? new ListedObjects(prefix) : undefined;
      try {
        yield* mapAhead(images(), headsAtOnce, (image) => lookUp(image, listed));
      } finally {
        await listed?.close();
      }
    },
    get: (key, options) => prefix.get(key, options),
    head,
    close: () => {
      others.close();
      prefix.close();
    },
  };
}

/** Stores of whole locations, a few at a time: a folder of its own for every image must not leave as many open. */
class OtherStores {
  static readonly #openAtMost = 64;
  readonly #stores = new Map<string, ReturnType<typeof openObjects>>();

  find(location: string): { readonly store: ReturnType<typeof openObjects>; readonly key: string } {
    const { root, key } = locateObject(location);
    let store = this.#stores.get(root);
    if (store === undefined) {
      // Files need no closing, and requests of a bucket may be under way.
      if (this.#stores.size >= OtherStores.#openAtMost)
        for (const of of this.#stores.keys()) if (of.startsWith("file:")) this.#stores.delete(of);
      this.#stores.set(root, (store = openObjects(root)));
    }
    return { store, key };
  }

  close(): void {
    for (const store of this.#stores.values()) store.close();
    this.#stores.clear();
  }
}

function requireText(file: string, line: number, key: unknown): string {
  if (typeof key === "string" && key !== "") return key;
  throw new TrommelError(
    "bad-dataset",
    `cannot read ${file}, line ${line}: it has no key any more. Leave a manifest alone while it is worked through`,
    { context: { file, line } },
  );
}

/** A label that is a number is its digits. */
function labelText(value: unknown): string | undefined {
  if (typeof value === "string") return tidyText(value);
  return typeof value === "number" || typeof value === "bigint" || typeof value === "boolean"
    ? String(value)
    : undefined;
}
