import { createHash } from "node:crypto";
import { TrommelError } from "../errors.js";

/**
 * JSON with one spelling per value: object keys in code unit order, no white space, numbers and strings as
 * JSON.stringify writes them (RFC 8785). Made for hashing, so what JSON would drop or bend is refused.
 * @throws TrommelError `internal` for undefined, functions, symbols, bigints, NaN, infinities and class instances
 */
export function canonicalJson(value: unknown): string {
  return write(value, "$");
}

/** Hex sha256 of bytes, or of a text's UTF-8. */
export function sha256Hex(content: Uint8Array | string): string {
  return createHash("sha256").update(content).digest("hex");
}

function write(value: unknown, path: string): string {
  if (value === null || typeof value === "boolean") return String(value);
  if (typeof value === "string") return writeString(value, path);
  if (typeof value === "number" && Number.isFinite(value)) return JSON.stringify(value);
  if (Array.isArray(value))
    return `[${Array.from(value, (item, i) => write(item, `${path}[${i}]`)).join(",")}]`;
  if (isPlainObject(value)) return writeObject(value, path);
  throw new TrommelError(
    "internal",
    `failed to write canonical JSON: ${path} is ${describe(value)}. Give null, booleans, finite numbers, strings, arrays and plain objects`,
  );
}

function writeObject(value: Readonly<Record<string, unknown>>, path: string): string {
  const members = Object.keys(value)
    .sort()
    .map((key) => `${writeString(key, path)}:${write(value[key], `${path}.${key}`)}`);
  return `{${members.join(",")}}`;
}

/** Lone surrogates have no UTF-8, so two of them would hash alike. */
function writeString(value: string, path: string): string {
  if (!/\p{Surrogate}/u.test(value)) return JSON.stringify(value);
  throw new TrommelError(
    "internal",
    `failed to write canonical JSON: ${path} has a text that is not valid Unicode`,
  );
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function describe(value: unknown): string {
  if (typeof value === "number") return String(value);
  if (typeof value === "object") return `an instance of ${value?.constructor.name ?? "an unknown class"}`;
  return value === undefined ? "undefined" : `a ${typeof value}`;
}
