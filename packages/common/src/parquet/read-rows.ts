import { parquetReadObjects, type ParquetParsers, type ParquetRow } from "hyparquet";
import { compressors } from "hyparquet-compressors";
import { TrommelError } from "../errors.js";
import { dateText, instantText } from "./instants.js";
import type { ParquetObject } from "./open-parquet.js";

const codecs: ReadonlySet<string> = new Set(["UNCOMPRESSED", ...Object.keys(compressors)]);

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

/** Times with all their digits. */
const exactTimes: Partial<ParquetParsers> = {
  timestampFromMilliseconds: (count) => instantText(count, "ms"),
  timestampFromMicroseconds: (count) => instantText(count, "us"),
  timestampFromNanoseconds: (count) => instantText(count, "ns"),
  dateFromDays: dateText,
};

/**
 * The rows of a Parquet file, a row group at a time; dates and timestamps are texts, see `instants.ts`.
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
    const read = {
      file,
      metadata,
      columns: [...columns],
      compressors,
      parsers: exactTimes,
      rowStart,
      rowEnd,
    };
    yield await parquetReadObjects(read);
    rowStart = rowEnd;
  }
}
