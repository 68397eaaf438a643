import { TrommelError } from "@trommel/common";
import type { ParquetColumnType } from "@trommel/common/parquet";

/** A row of a manifest or of a table of images. */
export interface TableRow {
  /** The line on which it begins, from 1; in a Parquet file the number of the row. */
  readonly line: number;
  /** The columns that it has. Rows of one header share one array. */
  readonly names: readonly string[];
  /** The types that the file itself gives its columns; absent if only the values tell. */
  readonly types?: ReadonlyMap<string, ParquetColumnType>;
  /** What is in a column; null or undefined where nothing is. */
  readonly cell: (name: string) => unknown;
}

/** A fault after which the rest of a file cannot be read. */
export function unreadableTable(file: string, line: number, why: string, remedy: string): TrommelError {
  return new TrommelError("bad-dataset", `cannot read ${file}, line ${line}: ${why}. ${remedy}`, {
    context: { file, line },
  });
}
