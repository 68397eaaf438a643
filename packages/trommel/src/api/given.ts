import { TrommelError } from "@trommel/common";

/** Checks of what programs give that no compiler checks. */

/** What a call that reads or writes images needs. */
export const placeExpected = "a folder or s3://bucket/prefix";

/**
 * A text that a call needs.
 * @param expected what to give, after "Give"
 * @throws TrommelError `invalid-argument`
 */
export function textGiven(value: unknown, call: string, name: string, expected: string): string {
  if (typeof value === "string" && value !== "") return value;
  throw refused(call, name, value, expected);
}

/** The id or location of a model: a string, or a run's handle. @throws TrommelError `invalid-argument` */
export function modelGiven(model: unknown, call: string): string {
  const id = typeof model === "object" && model !== null && "id" in model ? model.id : model;
  if (typeof id === "string" && id !== "") return id;
  throw refused(call, "model", model, "a finished run, its id, or the location of a bundle");
}

/** @throws TrommelError `invalid-argument` */
export function optionsGiven(options: unknown, call: string, needed: string): void {
  if (typeof options !== "object" || options === null)
    throw refused(call, "options", options, `an object with ${needed}`);
}

/** @throws TrommelError `invalid-argument` */
export function filesGiven(files: unknown, call: string): void {
  if (!Array.isArray(files)) throw refused(call, "files", files, "a list of paths");
  for (const [i, file] of files.entries()) textGiven(file, call, `files[${i}]`, "the path of a file");
}

function refused(call: string, name: string, value: unknown, expected: string): TrommelError {
  const shown = typeof value === "string" ? JSON.stringify(value) : kindOf(value);
  return new TrommelError("invalid-argument", `cannot ${call}: ${name} is ${shown}. Give ${expected}`);
}

function kindOf(value: unknown): string {
  if (value === undefined || value === null) return String(value);
  const kind = typeof value === "object" ? value.constructor.name : typeof value;
  return kind === "Object" ? "an object" : `a ${kind}`;
}
