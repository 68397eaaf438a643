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
 * Joins the rows of a table to the images of a prefix, in one listing. An id is an image's whole key, its file name, or its
 * file name without the extension. An id that is one image's whole key does not match others by name.
 * @param file the table, for messages
 * @returns labels by key, of the images that have a row
 * @throws TrommelError `bad-dataset` naming the file and the line of an id that no image has, that two have, or of two
 *   ids of one image
 */
export async function matchCsvLabels(
  source: ObjectStore,
  rows: ReadonlyMap<string, CsvRow>,
  file: string,
): Promise<LabelsByKey> {
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
  for await (const { key, unusable } of source.list("", { withUnusable: true })) {
    if (unusable !== undefined || skipHidden(key) !== undefined) continue;
    const { fileName, stem, extension } = partsOfKey(key);
    note(key, { key, closeness: "key" });
    if (fileName !== key) note(fileName, { key, closeness: "name" });
    if (stem !== fileName && looksLikeImage(extension)) note(stem, { key, closeness: "name" });
  }
  return labelsOf({ rows, matches, ambiguous, file, dataset: source.url });
}

function labelsOf(found: {
  readonly rows: ReadonlyMap<string, CsvRow>;
  readonly matches: ReadonlyMap<string, Match>;
  readonly ambiguous: ReadonlyMap<string, readonly [string, string]>;
  readonly file: string;
  readonly dataset: string;
}): LabelsByKey {
  const labels = new Map<string, string>();
  const lineOf = new Map<string, number>();
  for (const [id, { label, line }] of found.rows) {
    const match = found.matches.get(id);
    const refused = (why: string, remedy: string): TrommelError =>
      new TrommelError(
        "bad-dataset",
        `cannot label ${found.dataset} by ${placeIn(found.file, line)}: ${why}. ${remedy}`,
        { context: { file: found.file, line, id } },
      );
    const quoted = JSON.stringify(id);
    if (match === undefined)
      throw refused(`no image has the id ${quoted}`, "Remove the line, or put the image under the prefix");
    const two = found.ambiguous.get(id);
    if (two !== undefined)
      throw refused(`two images have the id ${quoted}: ${two.join(" and ")}`, "Give whole keys as ids");
    const earlier = lineOf.get(match.key);
    if (earlier !== undefined)
      throw refused(
        `${quoted} is the image ${match.key}, which line ${earlier} labels too`,
        "Keep one of them",
      );
    lineOf.set(match.key, line);
    labels.set(match.key, label);
  }
  return labels;
}
