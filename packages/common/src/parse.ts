import type { z } from "zod";
import { TrommelError, type ErrorCode } from "./errors.js";
import { wordsOfFault } from "./fault-words.js";
import { unknownField } from "./unknown-field.js";

/**
 * Parses what came over a boundary.
 * @param what names the thing in the message: "recipe huawei.yaml", "marker runs/a/run.json"
 * @throws TrommelError `code` with every fault and its path
 */
export function parseAs<S extends z.ZodType>(
  schema: S,
  value: unknown,
  what: string,
  code: ErrorCode = "invalid-argument",
): z.output<S> {
  const result = schema.safeParse(value, { error: wordsOfFault });
  if (result.success) return result.data;
  const faults = result.error.issues.flatMap((issue) => {
    if (issue.code === "unrecognized_keys")
      return issue.keys.map((key) => unknownField(schema, issue.path, key));
    const path = issue.path.map(String).join(".");
    return path === "" ? issue.message : `${path}: ${issue.message}${given(value, issue.path)}`;
  });
  throw new TrommelError(code, `cannot read ${what}: ${faults.join("; ")}`, { context: { what, faults } });
}

/** The place of a fault: at an unknown field itself, and not at the object that has it. */
export function placeOfFault(issue: z.core.$ZodIssue): readonly PropertyKey[] {
  const [unknown] = issue.code === "unrecognized_keys" ? issue.keys : [];
  return unknown === undefined ? issue.path : [...issue.path, unknown];
}

/** The value at a path, where it is short enough to be shown. */
function given(value: unknown, path: readonly PropertyKey[]): string {
  let found = value;
  for (const step of path) {
    if (typeof found !== "object" || found === null) return "";
    found = (found as Record<PropertyKey, unknown>)[step];
  }
  if (found === undefined || typeof found === "object" || typeof found === "function") return "";
  return ` (given ${JSON.stringify(found).slice(0, 60)})`;
}

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** Parses JSON text as UTF-8, then as {@link parseAs}. */
export function parseJsonAs<S extends z.ZodType>(
  schema: S,
  bytes: Uint8Array | string,
  what: string,
  code: ErrorCode = "corrupt",
): z.output<S> {
  let value: unknown;
  try {
    value = JSON.parse(typeof bytes === "string" ? bytes : utf8.decode(bytes));
  } catch (cause) {
    throw new TrommelError(code, `cannot read ${what}: it is not JSON`, { cause, context: { what } });
  }
  return parseAs(schema, value, what, code);
}

/** Parses JSON lines, each as {@link parseJsonAs}; empty ones are skipped. @param name of the file, for messages */
export function parseJsonLines<S extends z.ZodType>(
  schema: S,
  bytes: Uint8Array,
  name: string,
): z.output<S>[] {
  const lines = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8").split("\n");
  return lines.flatMap((line, i) =>
    line === "" ? [] : [parseJsonAs(schema, line, `line ${i + 1} of ${name}`)],
  );
}
