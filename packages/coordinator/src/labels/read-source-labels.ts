import { compareUtf8, labelOfKey, type Recipe } from "@trommel/common";
import type { DivisionTable } from "@trommel/common/artefacts";
import { groupColumn, testByColumn } from "@trommel/common/recipe";
import type { ImageSource } from "../sources/image-source.js";
import { TableFaults } from "./faults/table-faults.js";
import type { LabelledPlace, LabelsByKey } from "./labelled-images.js";
import { lookAlikesRemedy } from "./read-csv-labels.js";
import { testedKeys } from "./read-label-table.js";
import { quoteVisibly, whyIllegalLabel } from "./text/check-label.js";
import { findLookAlikes } from "./text/look-alikes.js";

interface SourceLabels extends Pick<DivisionTable, "test" | "groups"> {
  readonly byKey: LabelsByKey;
}

/**
 * The labels that a source has itself, and what its columns say of test part and groups. An image without a label is labelled by
 * the folder of its key.
 * @throws TrommelError `bad-dataset` naming file and line
 */
export async function readSourceLabels(
  { source, filter }: LabelledPlace,
  labelled: NonNullable<ImageSource["labelled"]>,
  {
    split,
    classes,
    lookAlikes,
  }: Pick<Recipe, "split"> &
    Pick<Recipe["labels"], "lookAlikes"> & { readonly classes: readonly string[] | null },
): Promise<SourceLabels> {
  const [tested, group] = [testByColumn(split), groupColumn(split)];
  const columns = [...new Set([tested?.column, group].filter((column) => column !== undefined))];
  const legal = classes === null ? undefined : new Set(classes);
  const byKey = new Map<string, string>();
  const cells: (readonly [key: string, others: readonly string[]])[] = [];
  const firstOf = new Map<string, { readonly file: string; readonly line: number }>();
  let faults: TableFaults | undefined;
  for await (const { key, label: own, others, file, line } of labelled(columns)) {
    if (faults?.file !== file) {
      faults?.check("read the labels");
      faults = new TableFaults(file);
    }
    if (filter.skip(key) !== undefined) continue;
    const label = own ?? labelOfKey(key);
    if (label === undefined) continue;
    const illegal = whyIllegalLabel(label);
    if (illegal !== undefined) faults.add(line, illegal, "Remove the character");
    else if (legal?.has(label) === false)
      faults.add(line, `the class ${quoteVisibly(label)} is not in the class list`);
    if (!firstOf.has(label)) firstOf.set(label, { file, line });
    byKey.set(key, label);
    if (columns.length > 0) cells.push([key, others]);
  }
  const last: TableFaults[] = faults === undefined ? [] : [faults];
  const found = lookAlikes === "refuse" ? withLookAlikes(last, firstOf) : last;
  for (const each of found) each.check("read the labels");
  const valuesOf = (column: string): [key: string, value: string][] => {
    const at = columns.indexOf(column);
    const pairs = cells.map(([key, others]): [string, string] => [key, others[at] ?? ""]);
    return pairs.sort(([a], [b]) => compareUtf8(a, b));
  };
  return {
    byKey,
    test: tested === undefined ? null : testedKeys(source.url, tested, valuesOf(tested.column)),
    groups: group === undefined ? null : valuesOf(group).filter(([, value]) => value !== ""),
  };
}

/** Adds the classes that look like an earlier one to the faults of their files. */
function withLookAlikes(
  faults: readonly TableFaults[],
  firstOf: ReadonlyMap<string, { readonly file: string; readonly line: number }>,
): TableFaults[] {
  const byFile = new Map(faults.map((each) => [each.file, each]));
  for (const { label, like } of findLookAlikes(firstOf.keys())) {
    const { file, line } = firstOf.get(label) ?? { file: "", line: 1 };
    const ofFile = byFile.get(file) ?? new TableFaults(file);
    byFile.set(file, ofFile);
    ofFile.add(line, `the class ${quoteVisibly(label)} looks like ${quoteVisibly(like)}`, lookAlikesRemedy);
  }
  return [...byFile.values()];
}
