import { csvRows } from "./csv-rows.js";
import { jsonlRows } from "./jsonl-rows.js";
import type { ManifestFile } from "./manifest-files.js";
import { parquetRows } from "./parquet-rows.js";
import type { TableRow } from "./table-row.js";

/**
 * The rows of a manifest's file in their order, as a stream.
 * @param wanted columns that the table is known to have: of a Parquet file no other is read
 * @param withOthers reads every column of a Parquet file
 */
export function manifestRows(
  file: ManifestFile,
  wanted: readonly string[],
  withOthers = false,
): AsyncIterable<TableRow> {
  if (file.format === "parquet") return parquetRows(file, withOthers ? null : wanted);
  return file.format === "csv" ? csvRows(file, wanted) : jsonlRows(file);
}
