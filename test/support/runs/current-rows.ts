import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parquetReadObjects } from "hyparquet";
import type { ScoreFormat } from "@trommel/common";
import { scoringSuccess } from "#common/artefacts/scores/scoring-output";
import { parseCsv } from "../files/csv.js";

/** The rows of a finished scoring as texts, from the files that its `_SUCCESS.json` names. @param output its folder */
export async function currentRows(output: string, format: ScoreFormat): Promise<string[]> {
  const success = scoringSuccess.parse(JSON.parse(await readFile(join(output, "_SUCCESS.json"), "utf8")));
  const rows: string[] = [];
  for (const { format: of, first, last } of success.files)
    if (of === format)
      for (const name of namesBetween(first, last)) rows.push(...(await rowsOf(join(output, name))));
  return rows;
}

/** As `_SUCCESS.json` is read: files between the first and the last are numbered through. */
function namesBetween(first: string, last: string): string[] {
  const [from, to] = [first, last].map((name) => Number(/-(\d+)\.\w+$/.exec(name)?.[1]));
  return Array.from({ length: (to ?? 0) - (from ?? 0) + 1 }, (_, i) =>
    first.replace(/-\d+(\.\w+)$/, `-${String((from ?? 0) + i).padStart(5, "0")}$1`),
  );
}

async function rowsOf(file: string): Promise<string[]> {
  const bytes = await readFile(file);
  if (file.endsWith(".jsonl")) return bytes.toString().split("\n").slice(0, -1);
  if (file.endsWith(".csv"))
    return parseCsv(bytes.toString())
      .slice(1)
      .map((record) => JSON.stringify(record));
  const rows = await parquetReadObjects({ file: new Uint8Array(bytes).buffer });
  return rows.map((row) => JSON.stringify(row));
}
