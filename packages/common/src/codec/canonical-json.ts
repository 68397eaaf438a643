import { hash } from "node:crypto";
import { TrommelError } from "../errors.js";

/**
 * JSON with one spelling per value: object keys in code unit order, no white space, numbers and strings as
 * JSON.stringify writes them (RFC 8785). Made for hashing, so what JSON would drop or bend is refused.
 * @throws TrommelError `internal` for undefined, functions, symbols, bigints, NaN, infinities and class instances
 */
export function canonicalJson(value: unknown): string {
  try {
    return writeAtOnce(value) ?? write(value);
  } catch (thrown) {
    if (!(thrown instanceof Unwritable)) throw thrown;
    throw new TrommelError(
      "internal",
      `cannot write canonical JSON: $${thrown.path} ${thrown.is}. Give null, booleans, finite numbers, strings of valid Unicode, arrays and plain objects`,
    );
  }
}

/** Hex sha256 of bytes, or of a text's UTF-8. */
export function sha256Hex(content: Uint8Array | string): string {
  return hash("sha256", content, "hex");
}

/**
 * sha256 of bytes, or of a text's UTF-8, as a text of 32 Latin-1 characters, one per byte. A worker takes
 * several for each image: written on into a buffer, such a text costs a third of a buffer of the hash's own, and a quarter of a
 * hash object.
 */
export function sha256Latin1(content: Uint8Array | string): string {
  return hash("sha256", content, "binary");
}

/** The path is put together on the way out: shards have thousands of values, and nearly none is refused. */
class Unwritable extends Error {
  path = "";

  constructor(readonly is: string) {
    super(is);
  }

  below(step: string): this {
    this.path = step + this.path;
    return this;
  }
}

/**
 * What JSON.stringify writes as it has to be written: objects whose keys are in order, and nothing that is refused. It is
 * quicker by far at the thousand values of a shard's listing. Undefined for anything else.
 */
function writeAtOnce(value: unknown): string | undefined {
  if (!isInOrder(value)) return undefined;
  const text = JSON.stringify(value);
  // So it writes half a surrogate pair; a backslash before such letters is looked at more closely too.
  return text.includes("\\ud") ? undefined : text;
}

function isInOrder(value: unknown): boolean {
  if (typeof value === "string" || value === null || typeof value === "boolean") return true;
  if (typeof value === "number") return Number.isFinite(value);
  // By index: an array may have holes, which `every` would pass over.
  if (Array.isArray(value)) {
    for (let at = 0; at < value.length; at += 1) if (!isInOrder(value[at])) return false;
    return true;
  }
  if (!isPlainObject(value)) return false;
  let before: string | undefined;
  for (const key of Object.keys(value)) {
    if ((before !== undefined && before >= key) || !isInOrder(value[key])) return false;
    before = key;
  }
  return true;
}

function write(value: unknown): string {
  if (typeof value === "string") return writeString(value);
  if (value === null || typeof value === "boolean") return String(value);
  if (typeof value === "number" && Number.isFinite(value)) return JSON.stringify(value);
  if (Array.isArray(value)) return writeArray(value);
  if (isPlainObject(value)) return writeObject(value);
  throw new Unwritable(`is ${describe(value)}`);
}

function writeArray(items: readonly unknown[]): string {
  // Parts that are joined, and not one text that grows: each step of such a one would stay in memory until it is used.
  const parts: string[] = [];
  let index = 0;
  try {
    for (; index < items.length; index += 1) parts.push(write(items[index]));
  } catch (thrown) {
    throw thrown instanceof Unwritable ? thrown.below(`[${index}]`) : thrown;
  }
  return `[${parts.join(",")}]`;
}

function writeObject(value: Readonly<Record<string, unknown>>): string {
  const parts: string[] = [];
  let key = "";
  try {
    for (key of Object.keys(value).sort()) parts.push(`${writeString(key)}:${write(value[key])}`);
  } catch (thrown) {
    throw thrown instanceof Unwritable ? thrown.below(`.${key}`) : thrown;
  }
  return `{${parts.join(",")}}`;
}

/** Lone surrogates have no UTF-8, so two of them would hash alike. */
function writeString(value: string): string {
  // Most texts have no surrogate at all, which is quicker to see.
  if (!/[\ud800-\udfff]/.test(value) || !/\p{Surrogate}/u.test(value)) return JSON.stringify(value);
  throw new Unwritable("has a text that is not valid Unicode");
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
