import { csvRows } from "./csv-rows.js";
import { jsonlRows } from "./jsonl-rows.js";
import type { ManifestFile } from "./manifest-files.js";
import { parquetRows } from "./parquet-rows.js";
import type { TableRow } from "./table-row.js";

/**
 * The rows of a manifest's file in their order, as a stream.
 * @param wanted columns that are read; of a Parquet file no other is
 */
export function manifestRows(file: ManifestFile, wanted: readonly string[] | null): AsyncIterable<TableRow> {
  if (file.format === "parquet") return parquetRows(file, wanted);
  return file.format === "csv" ? csvRows(file, wanted ?? []) : jsonlRows(file);
}
