import type { z } from "zod";

/** Words an unknown field of an object: its path, the field that was probably meant, and the legal ones. */
export function unknownField(schema: z.ZodType, path: readonly PropertyKey[], name: string): string {
  const legal = fieldsAt(schema, path);
  const meant = closest(name, legal);
  const full = [...path.map(String), name].join(".");
  const fields = legal.length === 0 ? "" : `; legal are ${legal.join(", ")}`;
  return `${full} is unknown${meant === undefined ? "" : ` (did you mean ${meant}?)`}${fields}`;
}

interface Definition {
  readonly shape?: Readonly<Record<string, z.ZodType>>;
  readonly innerType?: z.ZodType;
  readonly element?: z.ZodType;
  readonly out?: z.ZodType;
}

/** Fields of the object at a path; none where the schema has a choice of several or anything else. */
function fieldsAt(schema: z.ZodType, path: readonly PropertyKey[]): string[] {
  let here = definitionOf(schema);
  for (const step of path) {
    const next = typeof step === "number" ? here.element : here.shape?.[String(step)];
    if (next === undefined) return [];
    here = definitionOf(next);
  }
  return Object.keys(here.shape ?? {});
}

/** The type itself, without its default, its null or a step before it. */
function definitionOf(schema: z.ZodType): Definition {
  const definition = schema.def as Definition;
  const within = definition.innerType ?? definition.out;
  return within === undefined ? definition : definitionOf(within);
}

/** Slips of one or two characters in five are understood. */
function closest(name: string, legal: readonly string[]): string | undefined {
  const distances = legal.map((field) => ({
    field,
    distance: editDistance(name.toLowerCase(), field.toLowerCase()),
  }));
  const [best] = distances.sort((a, b) => a.distance - b.distance);
  if (best === undefined || best.distance > Math.max(1, Math.floor(name.length * 0.4))) return undefined;
  return best.field;
}

/** Insertions, deletions and replacements that make one text the other (Levenshtein). */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}
