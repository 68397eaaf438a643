import { resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { messageOf, TrommelError } from "../errors.js";
import { whyIllegalKey } from "./key.js";

/** The location of a store: an absolute folder, or a bucket with the prefix that all of its keys share. */
export type Location =
  | { readonly kind: "file"; readonly path: string; readonly url: string }
  | { readonly kind: "s3"; readonly bucket: string; readonly prefix: string; readonly url: string };

const legalForms = "a path, file:///absolute/path or s3://bucket/prefix";

/**
 * Parses a location as a person types it. A relative path starts from `folder`. What follows `s3://bucket/` is
 * taken letter by letter (`%20` is three characters); a `file:` URL is percent-decoded.
 * @throws TrommelError `invalid-argument` naming the legal forms
 */
export function parseLocation(text: string, folder = process.cwd()): Location {
  if (text.trim() === "") throw illegal("it is empty", text);
  if (text.includes("\0")) throw illegal("it contains NUL", text);
  if (/\p{Surrogate}/u.test(text)) throw illegal("it is not valid Unicode", text);
  if (/^s3:/i.test(text)) return parseS3(text);
  if (/^file:/i.test(text)) return parseFileUrl(text);
  // The part before "@" may be a password, so the text is not repeated.
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(text))
    throw illegal(`its scheme '${text.split("://", 1)[0]}' is not known`);
  return fileLocation(resolve(folder, text));
}

/** The canonical absolute URL of a location: the same text in whichever process and folder it is opened. */
export function resolveLocation(text: string, folder?: string): string {
  return parseLocation(text, folder).url;
}

/** The location of a store's key, or of what lies under it. @param url the store's location */
export function locationOf(url: string, key: string): string {
  return `${url.replace(/\/$/, "")}/${key}`;
}

/**
 * The other way round: the part of a location that follows a store's.
 * @returns an empty text for the store's own location, undefined for a location outside it
 */
export function partInside(url: string, location: string): string | undefined {
  if (location === url) return "";
  const root = locationOf(url, "");
  return location.startsWith(root) ? location.slice(root.length) : undefined;
}

/**
 * The location of one object as that of its folder and its key there. The key is empty if the location names no object.
 * @throws TrommelError `invalid-argument` as {@link parseLocation} does
 */
export function splitLocation(text: string): { readonly folder: string; readonly key: string } {
  const parsed = parseLocation(text);
  const path = parsed.kind === "file" ? parsed.path : parsed.prefix;
  const slash = path.lastIndexOf("/");
  const above = path.slice(0, Math.max(0, slash));
  const folder = parsed.kind === "file" ? above || "/" : `s3://${parsed.bucket}/${above}`;
  return { folder, key: path.slice(slash + 1) };
}

function parseFileUrl(text: string): Location {
  if (!/^file:\/\/(localhost)?\//i.test(text))
    throw illegal("a file: URL needs an absolute path and no host", text);
  try {
    return fileLocation(resolve(fileURLToPath(text)));
  } catch (thrown) {
    throw illegal(messageOf(thrown), text);
  }
}

function fileLocation(path: string): Location {
  // URL parsers drop blanks and control characters at the end, which a folder's name may well have.
  const tail = /[\p{Cc} ]*$/u.exec(path)?.[0] ?? "";
  const url = pathToFileURL(path.slice(0, path.length - tail.length)).href + encodeURIComponent(tail);
  return { kind: "file", path, url };
}

function parseS3(text: string): Location {
  const match = /^s3:\/\/([^/]*)\/*(.*)$/is.exec(text);
  const bucket = match?.[1] ?? "";
  if (bucket.includes("@")) throw illegal("it has credentials in it; the AWS SDK's own variables carry them");
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]$/.test(bucket)) {
    throw illegal(`'${bucket}' is not a bucket name`, text);
  }
  const prefix = (match?.[2] ?? "").replace(/\/+$/, "");
  const reason = prefix === "" ? undefined : whyIllegalKey(prefix);
  if (reason !== undefined) throw illegal(`its prefix is not legal: ${reason}`, text);
  return { kind: "s3", bucket, prefix, url: prefix === "" ? `s3://${bucket}` : `s3://${bucket}/${prefix}` };
}

function illegal(reason: string, text?: string): TrommelError {
  const named = text === undefined ? "the given location" : `the location ${JSON.stringify(text)}`;
  return new TrommelError("invalid-argument", `cannot open ${named}: ${reason}. Give ${legalForms}`);
}
