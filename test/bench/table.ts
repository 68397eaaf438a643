import type { BenchRow } from "./result.js";

/** A row and the benchmark that it is from. */
export interface TableRow extends BenchRow {
  readonly bench: string;
}

const columns: readonly { readonly title: string; readonly cell: (row: TableRow) => string }[] = [
  { title: "bench", cell: ({ bench }) => bench },
  { title: "figure", cell: ({ bench, what }) => what.replace(new RegExp(`^${bench}: `), "") },
  { title: "median (least–most)", cell: ({ value }) => value },
  { title: "anchor", cell: ({ anchor = "" }) => anchor },
  { title: "ratio", cell: ({ ratio = "" }) => ratio },
  { title: "to reach", cell: ({ target = "" }) => target },
  { title: "reached?", cell: ({ reached }) => (reached === undefined ? "" : reached ? "yes" : "NO") },
];

/** A Markdown table that is aligned for the eye. */
export function formatTable(rows: readonly TableRow[]): string {
  const cells = rows.map((row) => columns.map(({ cell }) => cell(row).replaceAll("|", "\\|")));
  const widths = columns.map(({ title }, at) =>
    Math.max(title.length, ...cells.map((line) => line[at]?.length ?? 0)),
  );
  const line = (texts: readonly string[]): string =>
    `| ${texts.map((text, at) => text.padEnd(widths[at] ?? 0)).join(" | ")} |`;
  return [
    line(columns.map(({ title }) => title)),
    line(widths.map((width) => "-".repeat(width))),
    ...cells.map(line),
  ].join("\n");
}
