import {
  canonicalJson,
  labelOfKey,
  openStore,
  resolveLocation,
  sha256Hex,
  TrommelError,
  type LabelSource,
  type LabelTable,
  type ObjectStore,
  type Recipe,
  type RunConfig,
} from "@trommel/common";
import { partInside } from "@trommel/common/store";
import { skipHidden } from "../plan/stream-shards.js";
import { quoteSome, sortedClasses, tableOf, type LabelsByKey } from "./labelled-images.js";
import { matchCsvLabels } from "./match-csv-labels.js";
import { readClassList } from "./read-class-list.js";
import { readCsvLabels } from "./read-csv-labels.js";
import { readSidecarLabels } from "./read-sidecar-labels.js";

/** The labels of a run, resolved before anything is queued. */
export interface ResolvedLabels {
  /** In output order; null if the folders are the classes, in UTF-8 byte order. */
  readonly classes: string[] | null;
  /** Null if folders are the labels. */
  readonly table: LabelTable | null;
}

/**
 * Reads class list and labels, and joins them to the images of a dataset. The dataset is listed at most once,
 * and only its keys are held; folders without a class list need no listing.
 * @param dataset absolute location
 * @throws TrommelError `invalid-argument`, `not-found`, `bad-dataset`, naming the file and the line
 */
export async function resolveLabels(dataset: string, labels: Recipe["labels"]): Promise<ResolvedLabels> {
  const classes = labels.classes === null ? null : await readClassList(labels.classes);
  const { source: kind } = labels;
  if (kind.type === "folders" && classes === null) return { classes: null, table: null };
  const source = openStore(dataset);
  try {
    if (kind.type === "folders") {
      await refuseUnknownFolders(source, classes ?? [], labels.classes ?? "");
      return { classes, table: null };
    }
    const except = keysInside(dataset, labels.classes);
    const byKey =
      kind.type === "csv"
        ? await csvLabels(source, kind, classes)
        : await readSidecarLabels({ source, extension: kind.extension, classes, except });
    return { classes: classes ?? atLeastTwo(sortedClasses(byKey), dataset), table: tableOf(byKey) };
  } finally {
    source.close();
  }
}

/** The labels in the form of `run.json`. */
export function labelsConfig({ classes, table }: ResolvedLabels): RunConfig["labels"] {
  return { classes, tableSha256: table === null ? null : sha256Hex(canonicalJson(table)) };
}

/** The files' locations made absolute, so that the recipe means the same wherever it is read. */
export function locateLabels(labels: Recipe["labels"]): Recipe["labels"] {
  const { source } = labels;
  const file = source.type === "csv" && source.file !== null ? { file: resolveLocation(source.file) } : {};
  return {
    source: { ...source, ...file },
    classes: labels.classes === null ? null : resolveLocation(labels.classes),
  };
}

async function csvLabels(
  source: ObjectStore,
  { file, idColumn, labelColumn }: Extract<LabelSource, { type: "csv" }>,
  classes: readonly string[] | null,
): Promise<LabelsByKey> {
  if (file === null) {
    throw new TrommelError(
      "invalid-argument",
      "cannot read the labels: the recipe takes them from a CSV file but names no file. Give --labels <file>",
    );
  }
  const legal = classes === null ? null : new Set(classes);
  const rows = await readCsvLabels(file, { idColumn, labelColumn }, legal);
  return matchCsvLabels(source, rows, file);
}

async function refuseUnknownFolders(
  source: ObjectStore,
  classes: readonly string[],
  file: string,
): Promise<void> {
  const known = new Set(classes);
  const unknown = new Set<string>();
  for await (const { key, unusable } of source.list("", { withUnusable: true })) {
    if (unusable !== undefined) continue;
    const label = skipHidden(key) === undefined ? labelOfKey(key) : undefined;
    if (label !== undefined && !known.has(label)) unknown.add(label);
  }
  if (unknown.size === 0) return;
  throw new TrommelError(
    "bad-dataset",
    `cannot label ${source.url}: the class list ${file} does not know the folder ${quoteSome([...unknown])}. Add it to the list, or take it out of the dataset`,
    { context: { file, folders: [...unknown].slice(0, 100) } },
  );
}

/** A file of the labels may lie in the dataset. */
function keysInside(dataset: string, file: string | null): Set<string> {
  const inside = file === null ? undefined : partInside(dataset, resolveLocation(file));
  if (inside === undefined) return new Set();
  return new Set([dataset.startsWith("file:") ? decodeURIComponent(inside) : inside]);
}

function atLeastTwo(classes: string[], dataset: string): string[] {
  if (classes.length >= 2) return classes;
  throw new TrommelError(
    "bad-dataset",
    `cannot label ${dataset}: a classifier needs at least two classes, and the labels name only ${quoteSome(classes)}. Label images of other classes too`,
    { context: { dataset } },
  );
}
