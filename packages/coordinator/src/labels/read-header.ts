import { quoteVisibly, tidyText } from "./text/check-label.js";

/** The columns of a table that are read, by their names. */
export interface CsvColumns {
  readonly idColumn: string;
  readonly labelColumn: string;
  /** More columns to read; a cell may be empty. @default none */
  readonly others?: readonly string[];
}

/** The columns' positions. */
export interface Header {
  readonly width: number;
  readonly id: number;
  readonly label: number;
  readonly others: readonly number[];
}

/** @returns the places of the columns, or why they are not there and what to do */
export function readHeader(
  record: readonly string[],
  columns: CsvColumns,
  delimiter: string,
): Header | { readonly why: string; readonly remedy?: string } {
  const names = record.map(tidyText);
  const faults: string[] = [];
  const positionOf = (column: string, flag: string): number => {
    const name = tidyText(column);
    const position = names.indexOf(name);
    if (position === -1) faults.push(`the header has no column ${JSON.stringify(name)} (${flag})`);
    else if (names.lastIndexOf(name) !== position)
      faults.push(`the header has the column ${JSON.stringify(name)} twice`);
    return position;
  };
  const id = positionOf(columns.idColumn, "--id-column");
  const label = positionOf(columns.labelColumn, "--label-column");
  const others = (columns.others ?? []).map((name) => positionOf(name, "split"));
  if (faults.length > 0) {
    const found = names.map((name) => quoteVisibly(name)).join(", ");
    const by = delimiter === "\t" ? "a tab" : JSON.stringify(delimiter);
    const remedy =
      names.length === 1
        ? "Name the character between the columns (--delimiter), or the columns (--id-column, --label-column)"
        : "Name the columns (--id-column, --label-column), or correct the header";
    return { why: `${faults.join("; ")}; separated by ${by} it has ${found}`, remedy };
  }
  if (id === label)
    return { why: `the id and the label are the same column ${JSON.stringify(columns.idColumn)}` };
  return { width: record.length, id, label, others };
}
