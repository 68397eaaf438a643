import { TrommelError, type ObjectStore } from "@trommel/common";
import { skipHidden } from "../plan/stream-shards.js";
import { placeIn } from "./label-file.js";
import { looksLikeImage, partsOfKey, type LabelsByKey } from "./labelled-images.js";
import type { CsvRow } from "./read-csv-labels.js";

/** How closely an id names an image: its whole key, or only its file name, with or without the extension. */
type Closeness = "key" | "name";

interface Match {
  readonly key: string;
  readonly closeness: Closeness;
}

/**
 * Joins the rows of a table to the images of a prefix, in one listing: see {@link matchCsvRows}.
 * @returns labels by key, of the images that have a row
 * @throws TrommelError as {@link matchCsvRows} does, and `bad-dataset` for an id that no image has
 */
export async function matchCsvLabels(
  source: ObjectStore,
  rows: ReadonlyMap<string, CsvRow>,
  file: string,
): Promise<LabelsByKey> {
  const table = { rows, file, dataset: source.url };
  const { labels, unmatched } = await matchCsvRows(imageKeys(source), table);
  const [first] = unmatched;
  if (first === undefined) return labels;
  throw refused(
    table,
    first,
    `no image has the id ${JSON.stringify(first)}`,
    "Remove the line, or put the image under the prefix",
  );
}

/** Keys of a prefix that may be images: what is hidden or unusable does not count. */
export async function* imageKeys(source: ObjectStore): AsyncGenerator<string> {
  for await (const { key, unusable } of source.list("", { withUnusable: true }))
    if (unusable === undefined && skipHidden(key) === undefined) yield key;
}

/** A table of labels and what it is to label. */
export interface CsvTable {
  readonly rows: ReadonlyMap<string, CsvRow>;
  /** For messages. */
  readonly file: string;
  /** For messages. */
  readonly dataset: string;
}

/**
 * Joins the rows of a table to images by their keys. An id is an image's whole key, its file name, or its file name without
 * the extension. An id that is one image's whole key does not match others by name.
 * @returns labels by key, of the images that have a row, and the ids that no image has
 * @throws TrommelError `bad-dataset` naming the file and the line of an id that two images have, or of two ids of one image
 */
export async function matchCsvRows(
  keys: AsyncIterable<string> | Iterable<string>,
  table: CsvTable,
): Promise<{ readonly labels: LabelsByKey; readonly unmatched: readonly string[] }> {
  const { rows } = table;
  const matches = new Map<string, Match>();
  const ambiguous = new Map<string, readonly [string, string]>();
  const note = (id: string, match: Match): void => {
    if (!rows.has(id)) return;
    const existing = matches.get(id);
    if (existing === undefined || match.closeness === "key") {
      matches.set(id, match);
      if (match.closeness === "key") ambiguous.delete(id);
    } else if (existing.closeness === "name" && existing.key !== match.key) {
      ambiguous.set(id, [existing.key, match.key]);
    }
  };
  for await (const key of keys) {
    const { fileName, stem, extension } = partsOfKey(key);
    note(key, { key, closeness: "key" });
    if (fileName !== key) note(fileName, { key, closeness: "name" });
    if (stem !== fileName && looksLikeImage(extension)) note(stem, { key, closeness: "name" });
  }
  return labelsOf(table, matches, ambiguous);
}

function labelsOf(
  table: CsvTable,
  matches: ReadonlyMap<string, Match>,
  ambiguous: ReadonlyMap<string, readonly [string, string]>,
): { labels: LabelsByKey; unmatched: string[] } {
  const labels = new Map<string, string>();
  const lineOf = new Map<string, number>();
  const unmatched: string[] = [];
  for (const [id, { label, line }] of table.rows) {
    const match = matches.get(id);
    const quoted = JSON.stringify(id);
    if (match === undefined) {
      unmatched.push(id);
      continue;
    }
    const two = ambiguous.get(id);
    if (two !== undefined)
      throw refused(
        table,
        id,
        `two images have the id ${quoted}: ${two.join(" and ")}`,
        "Give whole keys as ids",
      );
    const earlier = lineOf.get(match.key);
    if (earlier !== undefined) {
      const why = `${quoted} is the image ${match.key}, which line ${earlier} labels too`;
      throw refused(table, id, why, "Keep one of them");
    }
    lineOf.set(match.key, line);
    labels.set(match.key, label);
  }
  return { labels, unmatched };
}

function refused({ rows, file, dataset }: CsvTable, id: string, why: string, remedy: string): TrommelError {
  const line = rows.get(id)?.line ?? 0;
  return new TrommelError(
    "bad-dataset",
    `cannot label ${dataset} by ${placeIn(file, line)}: ${why}. ${remedy}`,
    { context: { file, line, id } },
  );
}
