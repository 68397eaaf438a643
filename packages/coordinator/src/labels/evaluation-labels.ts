import { labelOfKey, parseAs, TrommelError, type LabelTable } from "@trommel/common";
import type { SourceForm } from "@trommel/common/artefacts";
import { csvSource } from "@trommel/common/recipe";
import { folderWithin } from "../sources/archives/archive-source.js";
import { explainIds } from "./faults/explain-ids.js";
import { tableOf } from "./labelled-images.js";
import { matchKeys } from "./match-ids.js";
import { labelsOf } from "./read-label-table.js";
import { readCsvLabels } from "./read-csv-labels.js";
import { TableFaults } from "./faults/table-faults.js";
import { quoteVisibly } from "./text/check-label.js";

/** The labels that an evaluation takes. */
export interface EvaluationLabels {
  /** A CSV file: a path, `file:` or `s3://`; null if the images' folders are their labels. */
  readonly file: string | null;
  /** @default "id" */
  readonly idColumn?: string | undefined;
  /** @default "label" */
  readonly labelColumn?: string | undefined;
  /** What separates the columns: a character or `tab`. @default found */
  readonly delimiter?: string | undefined;
  /** @default UTF-8, or what a byte order mark says */
  readonly encoding?: string | undefined;
}

export interface MatchedLabels {
  /** Null where folders label. */
  readonly table: LabelTable | null;
  /** Rows of the file that belong to no image. */
  readonly unmatched: number;
  /** All that an image has. */
  readonly labels: ReadonlySet<string>;
}

/** The images that labels are joined to. */
export interface LabelledKeys {
  /** Reads the images' keys; a second time if no id matches. */
  readonly keysOf: () => AsyncIterable<string> | Iterable<string>;
  /** What lists them, if not a prefix. */
  readonly from: SourceForm | undefined;
  /** What their source labels them by, where that has been read. */
  readonly own?: ReadonlyMap<string, string> | undefined;
  /** Their place, for messages. */
  readonly place: string;
}

/**
 * Joins labels to images by their keys. Other than for a training, an id without an image is counted, not refused, unless no
 * id has one.
 * Without a file the folders label: those of keys, and of images in archives those within the archive.
 * @throws TrommelError `not-found`, `bad-dataset`, naming the file and the line
 */
export async function matchEvaluationLabels(
  { keysOf, from, own, place }: LabelledKeys,
  { file, ...given }: EvaluationLabels,
): Promise<MatchedLabels> {
  if (file === null && from?.type === "archives") {
    const byKey = new Map<string, string>();
    for await (const key of keysOf()) {
      const label = own === undefined ? folderWithin(key, from) : own.get(key);
      if (label !== undefined) byKey.set(key, label);
    }
    return { table: tableOf(byKey), unmatched: 0, labels: new Set(byKey.values()) };
  }
  if (file === null) {
    const folders = new Set<string>();
    for await (const key of keysOf()) folders.add(labelOfKey(key) ?? "");
    folders.delete("");
    return { table: null, unmatched: 0, labels: folders };
  }
  const faults = new TableFaults(file);
  const { idColumn, labelColumn, ...form } = parseAs(csvSource, { ...given, type: "csv" }, "the labels");
  const rows = await readCsvLabels(
    faults,
    { idColumn, labelColumn },
    { ...form, classes: null, lookAlikes: "keep" },
  );
  const lineOf = new Map([...rows].map(([id, { line }]) => [id, line]));
  const matches = await matchKeys(keysOf(), { lineOf, faults });
  faults.check(`label ${place} by`);
  if (matches.size === 0 && rows.size > 0) throw await noneMatches([...rows.keys()], keysOf(), file, place);
  const labels = labelsOf(rows, matches);
  const unmatched = [...rows.keys()].filter((id) => !matches.has(id)).length;
  return { table: tableOf(labels), unmatched, labels: new Set(labels.values()) };
}

async function noneMatches(
  ids: readonly string[],
  keys: AsyncIterable<string> | Iterable<string>,
  file: string,
  place: string,
): Promise<TrommelError> {
  const { sentences } = await explainIds(ids, keys);
  const all =
    ids.length === 1
      ? `its one id, ${quoteVisibly(ids[0] ?? "")}, is`
      : `none of its ${ids.length} ids, such as ${quoteVisibly(ids[0] ?? "")}, is`;
  const why = ids.length === 1 ? `${all} of no image` : `${all} of an image`;
  const remedy = sentences === "" ? "Give the labels of these images" : sentences.replace(/\.$/, "");
  return new TrommelError("bad-dataset", `cannot label ${place} by ${file}: ${why}. ${remedy}`, {
    context: { source: place, file },
  });
}
