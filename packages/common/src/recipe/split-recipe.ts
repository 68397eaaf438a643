import { z } from "zod";

/** The name of a column, and a value of it; a number is the same as its digits. */
const columnValue = z
  .object({ column: z.string().min(1), value: z.union([z.string().min(1), z.number()]) })
  .strict();

/** How images are divided. */
export const splitRecipe = z
  .object({
    /**
     * A part on which nothing is fitted, chosen or calibrated: this share of every class's images; or the images whose row of the
     * labels' table has this value in this column; or those that a file names, one key in a line. Null keeps none.
     */
    test: z
      .union(
        [z.number().gt(0).lt(1), columnValue, z.object({ keys: z.string().min(1) }).strict()],
        "legal are a share between 0 and 1, { column: <name>, value: <value> } of the labels' table, or { keys: <file> }",
      )
      .nullable()
      .default(null),
    /**
     * Images of one group are never divided: a folder level of the key (1 is the first folder), what a regular expression
     * captures from the key (its first group, or all that it matches), or what a column of the labels' table holds. Null: every image
     * is its own group. Images with the same bytes are one group in any case.
     */
    groups: z
      .union(
        [
          z.object({ folder: z.int().min(1).max(20) }).strict(),
          z.object({ pattern: z.string().min(1).refine(isPattern, "it is no regular expression") }).strict(),
          z.object({ column: z.string().min(1) }).strict(),
        ],
        "legal are { folder: <level> }, { pattern: <regular expression> } or { column: <name> } of the labels' table",
      )
      .nullable()
      .default(null),
  })
  .strict();
export type SplitRecipe = z.infer<typeof splitRecipe>;

function isPattern(text: string): boolean {
  try {
    new RegExp(text, "u");
    return true;
  } catch {
    return false;
  }
}

/** The share of every class that is tested on; null if a list or a column names the images, or none are. */
export function testShare({ test }: SplitRecipe): number | null {
  return typeof test === "number" ? test : null;
}

/** The column of the labels' table, and its value, that say which images are tested on, if one does. */
export function testByColumn({ test }: SplitRecipe): z.infer<typeof columnValue> | undefined {
  return test !== null && typeof test === "object" && "column" in test ? test : undefined;
}

/** The file that names the images that are tested on, if one does. */
export function testFile({ test }: SplitRecipe): string | undefined {
  return test !== null && typeof test === "object" && "keys" in test ? test.keys : undefined;
}

/** The column of the labels' table that holds the groups, if one does. */
export function groupColumn({ groups }: SplitRecipe): string | undefined {
  return groups !== null && "column" in groups ? groups.column : undefined;
}

/** A column needs the table that has it. */
export function refuseColumnWithoutTable(
  recipe: { readonly split: SplitRecipe; readonly labels: { readonly source: { readonly type: string } } },
  context: z.RefinementCtx,
): void {
  const { split, labels } = recipe;
  // Folders may be those of a source that is a table itself, which only a run knows.
  if (labels.source.type !== "sidecar") return;
  for (const [field, column] of [
    ["test", testByColumn(split)?.column],
    ["groups", groupColumn(split)],
  ] as const) {
    if (column === undefined) continue;
    const message = `the column ${JSON.stringify(column)} needs a table of labels, and the labels are ${labels.source.type}. Give --labels <file>`;
    context.addIssue({ code: "custom", path: ["split", field, "column"], message });
  }
}
