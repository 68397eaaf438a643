import { labelOfKey, type LabelTable } from "@trommel/common";
import { tableOf } from "./labelled-images.js";
import { matchKeys } from "./match-ids.js";
import { labelsOf } from "./read-label-table.js";
import { readCsvLabels } from "./read-csv-labels.js";

/** The labels that an evaluation takes. */
export interface EvaluationLabels {
  /** A CSV file: a path, `file:` or `s3://`; null if the images' folders are their labels. */
  readonly file: string | null;
  /** @default "id" */
  readonly idColumn?: string | undefined;
  /** @default "label" */
  readonly labelColumn?: string | undefined;
}

export interface MatchedLabels {
  /** Null where folders label. */
  readonly table: LabelTable | null;
  /** Rows of the file that belong to no image. */
  readonly unmatched: number;
  /** All that an image has. */
  readonly labels: ReadonlySet<string>;
}

/**
 * Joins labels to images by their keys. Other than for a training, an id without an image is counted, not refused.
 * @param place where the images are, for messages
 * @throws TrommelError `not-found`, `bad-dataset`, naming the file and the line
 */
export async function matchEvaluationLabels(
  keys: AsyncIterable<string> | Iterable<string>,
  { file, idColumn = "id", labelColumn = "label" }: EvaluationLabels,
  place: string,
): Promise<MatchedLabels> {
  if (file === null) {
    const folders = new Set<string>();
    for await (const key of keys) folders.add(labelOfKey(key) ?? "");
    folders.delete("");
    return { table: null, unmatched: 0, labels: folders };
  }
  const rows = await readCsvLabels(file, { idColumn, labelColumn, others: [] }, null);
  const lineOf = new Map([...rows].map(([id, { line }]) => [id, line]));
  const matches = await matchKeys(keys, { file, doing: "label", lineOf }, place);
  const labels = labelsOf(rows, matches);
  const unmatched = [...rows.keys()].filter((id) => !matches.has(id)).length;
  return { table: tableOf(labels), unmatched, labels: new Set(labels.values()) };
}
