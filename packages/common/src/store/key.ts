import { TrommelError } from "../errors.js";

/**
 * Keys: what is legal, how two are joined, how two are ordered. Every store goes through here, so that a key that
 * one of them takes is taken by the other.
 */

/** A file that is still being written has a name that starts so. No legal key has such a segment. */
export const partialFilePrefix = ".trommel-partial-";

const loneSurrogate = /\p{Surrogate}/u;

/** Why a key (or a finished part of one) is not legal, or `undefined`. */
export function whyIllegalKey(key: string): string | undefined {
  if (key === "") return "it is empty";
  return whyIllegalText(key) ?? key.split("/").map(whyIllegalSegment).find(isReason);
}

/** @throws TrommelError `invalid-argument` naming the key */
export function checkKey(key: string): void {
  const reason = whyIllegalKey(key);
  if (reason !== undefined) throw illegal("key", key, reason);
}

/**
 * A prefix is the beginning of a legal key: it may be empty, end in `/`, or stop inside a segment.
 * @throws TrommelError `invalid-argument` naming the prefix
 */
export function checkPrefix(prefix: string): void {
  const finished = prefix.split("/").slice(0, -1);
  const reason = whyIllegalText(prefix) ?? finished.map(whyIllegalSegment).find(isReason);
  if (reason !== undefined) throw illegal("prefix", prefix, reason);
}

/**
 * Joins parts with `/`; empty parts and slashes at either end of a part are dropped.
 * @throws TrommelError `invalid-argument` where the result is not a legal key
 */
export function joinKey(...parts: readonly string[]): string {
  const key = parts
    .map((part) => part.replace(/^\/+|\/+$/g, ""))
    .filter((part) => part !== "")
    .join("/");
  checkKey(key);
  return key;
}

/**
 * Orders keys by their UTF-8 bytes, as S3 lists them. UTF-8 order is code point order, while JavaScript's `<` orders
 * UTF-16 code units, which puts U+10000 and above before U+E000 to U+FFFF.
 */
export function compareKeys(left: string, right: string): number {
  const shorter = Math.min(left.length, right.length);
  for (let i = 0; i < shorter; i += 1) {
    const a = left.charCodeAt(i);
    const b = right.charCodeAt(i);
    if (a !== b) return codePointRank(a) - codePointRank(b);
  }
  return left.length - right.length;
}

/** Moves surrogates above the rest of the basic plane. */
function codePointRank(unit: number): number {
  if (unit < 0xd800) return unit;
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
}

function whyIllegalText(text: string): string | undefined {
  if (text.startsWith("/")) return "it starts with '/'";
  if (text.includes("\0")) return "it contains NUL";
  if (text.includes("\\")) return "it contains '\\'";
  if (loneSurrogate.test(text)) return "it is not valid Unicode";
  return undefined;
}

function whyIllegalSegment(segment: string): string | undefined {
  if (segment === "") return "it has an empty segment";
  if (segment === "." || segment === "..") return `it has the segment '${segment}'`;
  if (segment.startsWith(partialFilePrefix)) return `'${partialFilePrefix}' is kept for unfinished writes`;
  return undefined;
}

function isReason(reason: string | undefined): reason is string {
  return reason !== undefined;
}

function illegal(kind: "key" | "prefix", text: string, reason: string): TrommelError {
  return new TrommelError(
    "invalid-argument",
    `cannot use the ${kind} ${JSON.stringify(text)}: ${reason}. ` +
      `Give a relative one with '/' between its segments, without '.', '..', '\\', NUL or empty segments`,
    { context: { [kind]: text } },
  );
}
