import { posix } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { TrommelError } from "../errors.js";
import { whyIllegalKey } from "./key.js";
import { parseLocation } from "./location.js";

/** An object by the location of a store that holds it and its key there. */
export interface LocatedObject {
  /** A bucket, a folder, or the address of a server. */
  readonly root: string;
  readonly key: string;
}

/** Whether a text names an object by its whole location. No legal key looks like that: it would have an empty segment. */
export function isObjectLocation(text: string): boolean {
  return /^(?:s3|https?|file):\/\//i.test(text);
}

/**
 * Finds the store of an object: its bucket, its folder, or its server.
 * @param location `s3://bucket/key`, `file:///path` or `https://host/path`
 * @throws TrommelError `invalid-argument`
 */
export function locateObject(location: string): LocatedObject {
  if (/^https:/i.test(location)) return onServer(location);
  if (/^http:/i.test(location)) throw illegal(location, "only https is read: its sender and bytes are known");
  if (/^file:/i.test(location)) {
    const parsed = parseLocation(location);
    const path = parsed.kind === "file" ? parsed.path : "";
    const { dir, base } = posix.parse(path);
    if (base === "" || fileURLToPath(location).endsWith("/")) throw illegal(location, "it names no file");
    return { root: pathToFileURL(dir).href, key: base };
  }
  const [, bucket = "", key = ""] = /^s3:\/\/([^/]*)\/(.*)$/is.exec(location) ?? [];
  const why = whyIllegalKey(key);
  if (why !== undefined) throw illegal(location, `its key is not legal: ${why}`);
  return { root: parseLocation(`s3://${bucket}`).url, key };
}

function onServer(location: string): LocatedObject {
  const url = URL.canParse(location) ? new URL(location) : undefined;
  // The address is not repeated: it has a password.
  if (url !== undefined && (url.username !== "" || url.password !== ""))
    throw new TrommelError(
      "invalid-argument",
      `cannot read from ${url.host}: the address has credentials in it. Give it without`,
    );
  const key = url === undefined ? "" : `${url.pathname.slice(1)}${url.search}`;
  if (url === undefined || key === "") throw illegal(location, "it names no object of a server");
  return { root: url.origin, key };
}

function illegal(location: string, why: string): TrommelError {
  return new TrommelError(
    "invalid-argument",
    `cannot read ${JSON.stringify(location)}: ${why}. Give s3://bucket/key, file:///path or https://host/path`,
    { context: { location } },
  );
}
