import { recipe as recipeSchema } from "@trommel/common";

/** A recipe as written: its fields are not checked yet. */
export type WrittenRecipe = Record<string, unknown>;

export function isMapping(value: unknown): value is WrittenRecipe {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const defaults: unknown = recipeSchema.parse({ backbones: ["any"], tune: {} });

/** The kind that a choice of several (head, optimiser, schedule, label source, outer optimiser) has if it is not written. */
function typeAt(path: readonly string[], written: WrittenRecipe): unknown {
  if (Object.hasOwn(written, "type")) return written["type"];
  const standard = fieldAt(defaults, path);
  return isMapping(standard) ? standard["type"] : undefined;
}

/** The fields of `base` that remain under `patch`: none if the patch changes its kind. */
function kept(path: readonly string[], base: WrittenRecipe, patch: WrittenRecipe): WrittenRecipe {
  return Object.hasOwn(patch, "type") && patch["type"] !== typeAt(path, base) ? {} : { ...base };
}

/** A field named `__proto__` must stay a field, which the schema refuses. */
function define(target: WrittenRecipe, name: string, value: unknown): void {
  Object.defineProperty(target, name, { value, enumerable: true, writable: true, configurable: true });
}

/**
 * Merges one written recipe over another, field by field; lists and all other values are replaced. If the kind of a
 * choice changes (`head.type`), the old kind's other fields are dropped.
 */
export function mergeOver(
  base: WrittenRecipe,
  patch: WrittenRecipe,
  path: readonly string[] = [],
): WrittenRecipe {
  const result = kept(path, base, patch);
  for (const [name, value] of Object.entries(patch)) {
    const old = Object.hasOwn(result, name) ? result[name] : undefined;
    define(result, name, isMapping(value) && isMapping(old) ? mergeOver(old, value, [...path, name]) : value);
  }
  return result;
}

/** True for a field that is left out or null. */
export function isAbsent(written: WrittenRecipe, path: readonly string[]): boolean {
  return (fieldAt(written, path) ?? null) === null;
}

/** The value of a field as it is written; undefined if it is left out. */
export function fieldAt(written: unknown, path: readonly string[]): unknown {
  let found = written;
  for (const name of path) found = isMapping(found) && Object.hasOwn(found, name) ? found[name] : undefined;
  return found;
}

/** Sets one field, as {@link mergeOver} does, except that an object given as a whole replaces the old one. */
export function setField(target: WrittenRecipe, path: readonly string[], value: unknown): void {
  setWithin(target, path, value, []);
}

function setWithin(
  target: WrittenRecipe,
  path: readonly string[],
  value: unknown,
  above: readonly string[],
): void {
  const [name, ...rest] = path;
  if (name === undefined) return;
  if (rest.length === 0) {
    define(target, name, value);
    return;
  }
  const inner = Object.hasOwn(target, name) ? target[name] : undefined;
  const here = [...above, name];
  const patch = rest.length === 1 && rest[0] === "type" ? { type: value } : {};
  const child = isMapping(inner) ? kept(here, inner, patch) : {};
  define(target, name, child);
  setWithin(child, rest, value, here);
}
