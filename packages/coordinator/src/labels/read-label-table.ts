import { compareUtf8, TrommelError, type LabelSource, type Recipe } from "@trommel/common";
import type { DivisionTable } from "@trommel/common/artefacts";
import { groupColumn, testByColumn } from "@trommel/common/recipe";
import { quoteSome, type LabelledPlace, type LabelsByKey } from "./labelled-images.js";
import { matchIds } from "./match-ids.js";
import { readCsvLabels, type CsvRow } from "./read-csv-labels.js";
import { TableFaults } from "./faults/table-faults.js";

interface TableContent extends Pick<DivisionTable, "test" | "groups"> {
  readonly byKey: LabelsByKey;
}

/**
 * The labels of a dataset by a table, and what its columns say of test part and groups.
 * @throws TrommelError `not-found`, `bad-dataset` naming file and line
 */
export async function readLabelTable(
  { source, filter }: LabelledPlace,
  table: Omit<Extract<LabelSource, { type: "csv" }>, "file"> & { readonly file: string },
  {
    split,
    classes,
    lookAlikes,
  }: Pick<Recipe, "split"> &
    Pick<Recipe["labels"], "lookAlikes"> & { readonly classes: readonly string[] | null },
): Promise<TableContent> {
  const { file, idColumn, labelColumn, delimiter, encoding } = table;
  const faults = new TableFaults(file);
  const [tested, grouped] = [testByColumn(split), groupColumn(split)];
  const others = [...new Set([tested?.column, grouped].filter((column) => column !== undefined))];
  const legal = classes === null ? null : new Set(classes);
  const columns = { idColumn, labelColumn, others };
  const rows = await readCsvLabels(faults, columns, { delimiter, encoding, classes: legal, lookAlikes });
  const lineOf = new Map([...rows].map(([id, { line }]) => [id, line]));
  const matches = await matchIds(source, filter, { lineOf, faults });
  faults.check(`label ${source.url} by`);
  const valuesOf = (column: string): [key: string, value: string][] => {
    const at = others.indexOf(column);
    const pairs = [...rows].flatMap(([id, row]) =>
      (matches.get(id) ?? []).map((key): [string, string] => [key, row.others[at] ?? ""]),
    );
    return pairs.sort(([a], [b]) => compareUtf8(a, b));
  };
  return {
    byKey: labelsOf(rows, matches),
    test: tested === undefined ? null : testedKeys(file, tested, valuesOf(tested.column)),
    // An empty cell leaves the image on its own.
    groups: grouped === undefined ? null : valuesOf(grouped).filter(([, group]) => group !== ""),
  };
}

/** The labels of the images that ids mean. @param matches the keys of each id */
export function labelsOf(
  rows: ReadonlyMap<string, CsvRow>,
  matches: ReadonlyMap<string, readonly string[]>,
): LabelsByKey {
  const labels = new Map<string, string>();
  for (const [id, { label }] of rows) for (const key of matches.get(id) ?? []) labels.set(key, label);
  return labels;
}

/** @throws TrommelError `bad-dataset` if no row has the value */
export function testedKeys(
  file: string,
  { column, value: of }: NonNullable<ReturnType<typeof testByColumn>>,
  values: readonly (readonly [key: string, value: string])[],
): string[] {
  const wanted = String(of).trim().normalize("NFC");
  const keys = values.flatMap(([key, value]) => (value === wanted ? [key] : []));
  if (keys.length > 0) return keys;
  throw new TrommelError(
    "bad-dataset",
    `cannot choose the test part: no row of ${file} has ${JSON.stringify(wanted)} in its column ${JSON.stringify(column)}, which has ${quoteSome([...new Set(values.map(([, value]) => value))])}. Correct split.test.value`,
    { context: { file, column, value: wanted } },
  );
}
