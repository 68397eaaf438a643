import { parquetReadObjects, parquetSchema, type ParquetRow } from "hyparquet";
import { compressors } from "hyparquet-compressors";
import { TrommelError } from "../errors.js";
import type { ParquetObject } from "./open-parquet.js";

const codecs: ReadonlySet<string> = new Set(["UNCOMPRESSED", ...Object.keys(compressors)]);

/** The names of the columns at the top of a Parquet file's schema. */
export function columnsOf({ metadata }: ParquetObject): string[] {
  return parquetSchema(metadata).children.map(({ element }) => element.name);
}

/**
 * @param name as messages name the object
 * @throws TrommelError `bad-dataset` naming a codec that is not known
 */
export function requireCodecs({ metadata }: ParquetObject, name: string): void {
  for (const { columns } of metadata.row_groups)
    for (const { meta_data: chunk } of columns) {
      if (chunk === undefined || codecs.has(chunk.codec)) continue;
      throw new TrommelError(
        "bad-dataset",
        `cannot read ${name}: its column ${JSON.stringify(chunk.path_in_schema.join("."))} is compressed by ${chunk.codec}, and ${[...codecs].join(", ")} are known. Write it with one of these`,
        { context: { object: name, codec: chunk.codec } },
      );
    }
}

/**
 * The rows of a Parquet file, a row group at a time.
 * @param columns of the top; no other is read
 */
export async function* parquetRowGroups(
  { file, metadata }: ParquetObject,
  columns: readonly string[],
): AsyncGenerator<readonly ParquetRow[]> {
  let rowStart = 0;
  for (const { num_rows: rows } of metadata.row_groups) {
    const rowEnd = rowStart + Number(rows);
    if (rowEnd === rowStart) continue;
    const read = { file, metadata, columns: [...columns], compressors, rowStart, rowEnd };
    yield await parquetReadObjects(read);
    rowStart = rowEnd;
  }
}
