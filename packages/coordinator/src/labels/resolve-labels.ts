import {
  canonicalJson,
  labelOfKey,
  openStore,
  resolveLocation,
  sha256Hex,
  someOf,
  TrommelError,
  type LabelSource,
  type LabelTable,
  type Recipe,
  type RunConfig,
} from "@trommel/common";
import type { DivisionTable } from "@trommel/common/artefacts";
import { groupColumn, testByColumn, testFile } from "@trommel/common/recipe";
import { partInside } from "@trommel/common/store";
import { KeyFilter } from "../listing/key-filter.js";
import { keysOnly } from "../sources/image-source.js";
import { openSource, type SourcePlace } from "../sources/open-source.js";
import {
  quoteSome,
  sortedClasses,
  tableOf,
  type LabelledPlace,
  type LabelsByKey,
} from "./labelled-images.js";
import { lookAlikesRemedy } from "./read-csv-labels.js";
import { quoteVisibly } from "./text/check-label.js";
import { findLookAlikes } from "./text/look-alikes.js";
import { readLabelTable } from "./read-label-table.js";
import { readSourceLabels } from "./read-source-labels.js";
import { readClassList } from "./read-class-list.js";
import { readSidecarLabels } from "./read-sidecar-labels.js";
import { readTestKeys } from "./read-test-keys.js";

/** The labels of a run, resolved before anything is queued. */
export interface ResolvedLabels {
  /** In output order; null if the folders are the classes, in UTF-8 byte order. */
  readonly classes: string[] | null;
  /** Null if folders are the labels. */
  readonly table: LabelTable | null;
  /** Test part and groups by key; null if neither a list nor a column gives them. */
  readonly division: DivisionTable | null;
}

/**
 * Reads class list and labels, and joins them to the images of a dataset. The dataset is listed at most once for each, and only its
 * keys are held; folders without a class list need no listing.
 * @throws TrommelError `invalid-argument`, `not-found`, `bad-dataset`, naming the file and the line
 */
export async function resolveLabels(
  dataset: SourcePlace,
  { labels, split, include, exclude }: Pick<Recipe, "labels" | "split" | "include" | "exclude">,
): Promise<ResolvedLabels> {
  const classes = labels.classes === null ? null : await readClassList(labels.classes);
  if (classes !== null && labels.lookAlikes === "refuse") refuseLookAlikes(classes, labels.classes ?? "");
  const listFile = testFile(split);
  const divides = testByColumn(split) !== undefined || groupColumn(split) !== undefined;
  const isPlain =
    dataset.from === undefined &&
    labels.source.type === "folders" &&
    classes === null &&
    listFile === undefined &&
    !divides;
  if (isPlain) return { classes: null, table: null, division: null };
  const source = keysOnly(openSource(dataset, openStore));
  try {
    const place = { source, filter: new KeyFilter({ include, exclude }) };
    const found = await readLabels(place, { dataset, labels, split, classes });
    const { byKey } = found;
    const labelOf = byKey === null ? labelOfKey : (key: string) => byKey.get(key);
    const listed = listFile === undefined ? found.test : await readTestKeys(place, listFile, labelOf);
    const isDivided = listed !== null || found.groups !== null;
    return {
      classes: byKey === null ? classes : (classes ?? atLeastTwo(sortedClasses(byKey), source.url)),
      table: byKey === null ? null : tableOf(byKey),
      division: isDivided ? { formatVersion: 1, test: listed, groups: found.groups } : null,
    };
  } finally {
    source.close();
  }
}

interface FoundLabels extends Pick<DivisionTable, "test" | "groups"> {
  /** Null if folders are the labels. */
  readonly byKey: LabelsByKey | null;
}

async function readLabels(
  place: LabelledPlace,
  given: Pick<Recipe, "labels" | "split"> & {
    readonly dataset: SourcePlace;
    readonly classes: readonly string[] | null;
  },
): Promise<FoundLabels> {
  const { dataset, labels, split, classes } = given;
  const { source: kind } = labels;
  const undivided = { test: null, groups: null };
  if (kind.type === "folders" && dataset.from?.type === "archives")
    refuseColumnsOfNoTable(split, "the labels are in archives. Give --labels <file>");
  if (kind.type === "folders" && place.source.labelled !== undefined)
    return readSourceLabels(place, place.source.labelled, { split, classes, lookAlikes: labels.lookAlikes });
  if (kind.type === "folders") {
    refuseColumnsOfNoTable(split, "the labels are folders. Give --labels <file> or --manifest <file>");
    if (classes !== null) await refuseUnknownFolders(place, classes, labels.classes ?? "");
    return { byKey: null, ...undivided };
  }
  if (kind.type === "csv")
    return readLabelTable(place, withFile(kind), { split, classes, lookAlikes: labels.lookAlikes });
  const except = keysInside(dataset.location, labels.classes);
  const byKey = await readSidecarLabels({ ...place, extension: kind.extension, classes, except });
  return { byKey, ...undivided };
}

/** The labels in the form of `run.json`. */
export function labelsConfig({ classes, table }: ResolvedLabels): RunConfig["labels"] {
  return { classes, tableSha256: table === null ? null : sha256Hex(canonicalJson(table)) };
}

type CsvSource = Extract<LabelSource, { type: "csv" }>;

function withFile(source: CsvSource): CsvSource & { readonly file: string } {
  const { file } = source;
  if (file !== null) return { ...source, file };
  throw new TrommelError(
    "invalid-argument",
    "cannot read the labels: the recipe takes them from a CSV file but names no file. Give --labels <file>",
  );
}

async function refuseUnknownFolders(
  { source, filter }: LabelledPlace,
  classes: readonly string[],
  file: string,
): Promise<void> {
  const known = new Set(classes);
  const unknown = new Set<string>();
  for await (const { key, unusable } of source.list("", { withUnusable: true })) {
    if (unusable !== undefined) continue;
    const label = filter.skip(key) === undefined ? labelOfKey(key) : undefined;
    if (label !== undefined && !known.has(label)) unknown.add(label);
  }
  if (unknown.size === 0) return;
  throw new TrommelError(
    "bad-dataset",
    `cannot label ${source.url}: the class list ${file} does not know the folder ${quoteSome([...unknown])}. Add it to the list, or take it out of the dataset`,
    { context: { file, folders: [...unknown].slice(0, 100) } },
  );
}

/** @throws TrommelError `invalid-argument` if the recipe divides by a column, and the labels are in no table that could have it */
function refuseColumnsOfNoTable(split: Recipe["split"], why: string): void {
  const column = testByColumn(split)?.column ?? groupColumn(split);
  if (column === undefined) return;
  throw new TrommelError(
    "invalid-argument",
    `cannot divide the images by the column ${JSON.stringify(column)}: it needs a table, and ${why}`,
    { context: { column } },
  );
}

/** A file of the labels may lie in the dataset. */
function keysInside(dataset: string, file: string | null): Set<string> {
  const inside = file === null ? undefined : partInside(dataset, resolveLocation(file));
  if (inside === undefined) return new Set();
  return new Set([dataset.startsWith("file:") ? decodeURIComponent(inside) : inside]);
}

function refuseLookAlikes(classes: readonly string[], file: string): void {
  const found = findLookAlikes(classes);
  if (found.length === 0) return;
  const pairs = found.map(({ label, like }) => `${quoteVisibly(label)} looks like ${quoteVisibly(like)}`);
  throw new TrommelError(
    "invalid-argument",
    `cannot read the class list ${file}: ${someOf(pairs)}. ${lookAlikesRemedy}`,
    { context: { file, pairs: pairs.slice(0, 100) } },
  );
}

function atLeastTwo(classes: string[], dataset: string): string[] {
  if (classes.length >= 2) return classes;
  throw new TrommelError(
    "bad-dataset",
    `cannot label ${dataset}: a classifier needs at least two classes, and the labels name only ${quoteSome(classes)}. Label images of other classes too`,
    { context: { dataset } },
  );
}
