import { printable } from "../index.js";

/** Lines of a table whose columns are two spaces apart; the last one is as wide as it is. Without rows there is no line. */
export function tableOf(header: readonly string[], rows: readonly (readonly string[])[]): string[] {
  if (rows.length === 0) return [];
  const lines = [header, ...rows].map((row) => row.map((cell) => printable(cell)));
  const widths = header.map((_, column) => Math.max(...lines.map((row) => lengthOf(row[column] ?? ""))));
  return lines.map((row) =>
    row
      .map((cell, column) => cell + " ".repeat((widths[column] ?? 0) - lengthOf(cell)))
      .join("  ")
      .trimEnd(),
  );
}

/** In characters; a terminal shows some of them (中) in two columns, and the table is a little crooked there. */
function lengthOf(text: string): number {
  return [...text].length;
}
