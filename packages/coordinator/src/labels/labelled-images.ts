import { compareUtf8, someOf, type LabelTable } from "@trommel/common";
import type { KeyFilter } from "../listing/key-filter.js";
import type { ImageSource } from "../sources/image-source.js";

/** The place of the images, and which of them count. */
export interface LabelledPlace {
  readonly source: Pick<ImageSource, "url" | "list" | "get" | "labelled">;
  readonly filter: KeyFilter;
}

/** What a source of labels yields: every labelled image by its key. */
export type LabelsByKey = ReadonlyMap<string, string>;

export function tableOf(labels: LabelsByKey): LabelTable {
  const rows = [...labels].sort(([a], [b]) => compareUtf8(a, b));
  return { formatVersion: 1, labels: rows };
}

/** The classes in output order if no class list fixes it. */
export function sortedClasses(labels: LabelsByKey): string[] {
  return [...new Set(labels.values())].sort(compareUtf8);
}

/** `a/b.c.jpg` is in folder `a/`, has the file name `b.c.jpg` and the stem `b.c`. */
export function partsOfKey(key: string): {
  folder: string;
  fileName: string;
  stem: string;
  extension: string;
} {
  const slash = key.lastIndexOf("/") + 1;
  const fileName = key.slice(slash);
  const dot = fileName.lastIndexOf(".");
  const end = dot <= 0 ? fileName.length : dot;
  return {
    folder: key.slice(0, slash),
    fileName,
    stem: fileName.slice(0, end),
    extension: fileName.slice(end).toLowerCase(),
  };
}

const imageExtensions = new Set(
  ".jpg .jpeg .jpe .jfif .png .webp .gif .tif .tiff .avif .bmp .heic .heif .jp2 .jxl".split(" "),
);

/** Whether an id without an extension may mean this file. The decoder decides later by the content. */
export function looksLikeImage(extension: string): boolean {
  return imageExtensions.has(extension);
}

/** The first few items of a list, quoted, and the number of the others. */
export function quoteSome(items: readonly string[], most = 5): string {
  return someOf(
    items.map((item) => JSON.stringify(item)),
    most,
  );
}
