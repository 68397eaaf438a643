import { looksLikeImage, partsOfKey } from "./labelled-images.js";
import { quoteVisibly, tidyText } from "./text/check-label.js";
import { shapeOf } from "./text/look-alikes.js";

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

type Fault = { readonly why: string; readonly remedy?: string };

/** @returns the places of the columns, or why they are not there and what to do */
export function readHeader(
  record: readonly string[],
  columns: CsvColumns,
  delimiter: string,
): Header | Fault {
  const names = record.map(tidyText);
  const faults: string[] = [];
  const remedies: string[] = [];
  const positionOf = (column: string, flag: string): number => {
    const name = tidyText(column);
    const position = names.indexOf(name);
    if (position !== -1 && names.lastIndexOf(name) === position) return position;
    const like = names.find((found) => shapeOf(found) === shapeOf(name));
    if (position !== -1) faults.push(`the header has the column ${JSON.stringify(name)} twice`);
    else if (like === undefined) faults.push(`the header has no column ${JSON.stringify(name)} (${flag})`);
    else {
      faults.push(
        `the header has the column ${quoteVisibly(like)} and not ${JSON.stringify(name)} (${flag})`,
      );
      if (flag.startsWith("--")) remedies.push(`${flag} ${quoteVisibly(like)}`);
    }
    return position;
  };
  const id = positionOf(columns.idColumn, "--id-column");
  const label = positionOf(columns.labelColumn, "--label-column");
  const others = (columns.others ?? []).map((name) => positionOf(name, "split"));
  if (faults.length > 0) {
    if (id === -1 && label === -1 && remedies.length === 0 && names.some(isImageName))
      return noHeader(names, columns, delimiter);
    const found = names.map((name) => quoteVisibly(name)).join(", ");
    const by = delimiter === "\t" ? "a tab" : JSON.stringify(delimiter);
    return {
      why: `${faults.join("; ")}; separated by ${by} it has ${found}`,
      remedy: remedyOf(names, remedies),
    };
  }
  if (id === label)
    return { why: `the id and the label are the same column ${JSON.stringify(columns.idColumn)}` };
  return { width: record.length, id, label, others };
}

function remedyOf(names: readonly string[], flags: readonly string[]): string {
  if (flags.length > 0) return `Correct the header, or give ${flags.join(" ")}`;
  return names.length === 1
    ? "Name the character between the columns (--delimiter), or the columns (--id-column, --label-column)"
    : "Name the columns (--id-column, --label-column), or correct the header; if this is a row, write a header above it";
}

function isImageName(name: string): boolean {
  return looksLikeImage(partsOfKey(name).extension);
}

function noHeader(names: readonly string[], { idColumn, labelColumn }: CsvColumns, delimiter: string): Fault {
  const isIdFirst = names.length < 2 || isImageName(names[0] ?? "");
  const header = (isIdFirst ? [idColumn, labelColumn] : [labelColumn, idColumn]).join(delimiter);
  return {
    why: `it has no header: its first line is a row, ${names.map((name) => quoteVisibly(name)).join(", ")}`,
    remedy: `Write the names of the columns above it, such as ${JSON.stringify(header)}`,
  };
}
