import { messageOf, TrommelError } from "@trommel/common";
import { columnTypesOf, openParquet, parquetRowGroups, requireCodecs } from "@trommel/common/parquet";
import type { ManifestFile } from "./manifest-files.js";
import { unreadableTable, type TableRow } from "./table-row.js";

/**
 * The rows of a Parquet table, a row group at a time.
 * @param wanted columns that are read; null for all of them
 * @throws TrommelError `bad-dataset` naming the file and the row group's first row
 */
export async function* parquetRows(
  { store, object, name: file }: ManifestFile,
  wanted: readonly string[] | null,
): AsyncGenerator<TableRow> {
  const table = await openParquet(store, object, file);
  requireCodecs(table, file);
  const types = columnTypesOf(table);
  const all = [...types.keys()];
  const names = wanted === null ? all : all.filter((name) => wanted.includes(name));
  const ofClocks = new Set(
    names.filter((name) => {
      const type = types.get(name);
      return type !== undefined && "instant" in type && type.instant?.utc === false;
    }),
  );
  let line = 0;
  try {
    for await (const rows of parquetRowGroups(table, names))
      for (const row of rows) {
        line += 1;
        yield {
          ...{ line, names, types },
          cell: (name) => (ofClocks.has(name) ? withoutZone(row[name]) : (row[name] as unknown)),
        };
      }
  } catch (thrown) {
    if (thrown instanceof TrommelError) throw thrown;
    throw unreadableTable(
      file,
      line + 1,
      `its row group is damaged (${messageOf(thrown)})`,
      "Write it again",
    );
  }
}

/** The time on some clock is no instant in UTC. */
function withoutZone(value: unknown): unknown {
  return typeof value === "string" ? value.replace(/Z$/, "") : value;
}
