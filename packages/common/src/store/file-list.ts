import { type BigIntStats, type Dirent } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { TrommelError } from "../errors.js";
import { isAbsent } from "./file-errors.js";
import type { FileRoot } from "./file-root.js";
import { compareKeys, partialFilePrefix, whyIllegalKey } from "./key.js";
import type { ObjectInfo } from "./object-store.js";

/**
 * Lists a folder tree in the order in which S3 lists keys: by the bytes of the whole key.
 *
 * Within one folder that order is reached by sorting the names with `/` appended to folders, because every key below
 * a folder begins so: `a-b`, `a.b`, `a/x`, `a0`. So only the names of one folder per level are held at a time.
 */

/** Files looked at together; a network share answers many questions in the time of one. */
const statWindow = 64;

export interface FileListing {
  readonly root: FileRoot;
  readonly prefix: string;
  readonly startAfter: string;
  readonly onNotice: (notice: string) => void;
}

interface Entry {
  /** Whole key; a folder's ends in `/`. */
  readonly key: string;
  readonly path: string;
  readonly isFolder: boolean;
}

/** @throws a system error where the folder of the prefix cannot be read, but nothing where it does not exist */
export async function* listFiles(listing: FileListing): AsyncGenerator<ObjectInfo> {
  const folderKey = listing.prefix.slice(0, listing.prefix.lastIndexOf("/") + 1);
  yield* listFolder(listing, folderKey, new Set());
}

async function* listFolder(
  listing: FileListing,
  folderKey: string,
  above: ReadonlySet<string>,
): AsyncGenerator<ObjectInfo> {
  const folder = listing.root.pathOf(folderKey);
  const real = await unlessAbsent(listing.root.realPathOf(folder));
  if (real === undefined) return;
  if (above.has(real)) throw circle(folder, real);
  const entries = (await readEntries(listing, folder, folderKey)).filter((entry) => isWanted(listing, entry));
  entries.sort((left, right) => compareKeys(left.key, right.key));
  const aboveHere = new Set(above).add(real);
  for (let start = 0; start < entries.length; start += statWindow) {
    const window = entries.slice(start, start + statWindow);
    const infos = await Promise.all(
      window.map(async (entry) => (entry.isFolder ? undefined : describe(entry))),
    );
    for (const [index, entry] of window.entries()) {
      const info = infos[index];
      if (info !== undefined) yield info;
      if (entry.isFolder) yield* listFolder(listing, entry.key, aboveHere);
    }
  }
}

/** Whole folders are left out unread: outside the prefix, or with all of their keys at or before `startAfter`. */
function isWanted({ prefix, startAfter }: FileListing, { key, isFolder }: Entry): boolean {
  if (!isFolder) return key.startsWith(prefix) && compareKeys(key, startAfter) > 0;
  const mayMatch = key.startsWith(prefix) || prefix.startsWith(key);
  return mayMatch && (startAfter.startsWith(key) || compareKeys(key, startAfter) > 0);
}

async function readEntries(listing: FileListing, folder: string, folderKey: string): Promise<Entry[]> {
  const found = await unlessAbsent(readdir(folder, { withFileTypes: true, encoding: "buffer" }));
  const entries: Entry[] = [];
  for (const dirent of found ?? []) {
    const entry = await toEntry(listing, folder, folderKey, dirent);
    if (entry !== undefined) entries.push(entry);
  }
  return entries;
}

async function toEntry(
  listing: FileListing,
  folder: string,
  folderKey: string,
  dirent: Dirent<Buffer>,
): Promise<Entry | undefined> {
  const name = dirent.name.toString("utf8");
  if (name.startsWith(partialFilePrefix)) return undefined;
  const isText = Buffer.from(name, "utf8").equals(dirent.name);
  const reason = isText ? whyIllegalKey(name) : "its name is not UTF-8";
  const path = join(folder, name);
  if (reason !== undefined) {
    listing.onNotice(`left out of the listing: ${JSON.stringify(path)}, because ${reason}`);
    return undefined;
  }
  const kind = await kindOf(listing.root, path, dirent);
  if (kind === undefined) return undefined;
  const isFolder = kind === "folder";
  return { key: folderKey + name + (isFolder ? "/" : ""), path, isFolder };
}

/** `undefined` for sockets, pipes and devices, and for links to nothing. */
async function kindOf(
  root: FileRoot,
  path: string,
  dirent: Dirent<Buffer>,
): Promise<"file" | "folder" | undefined> {
  if (dirent.isFile()) return "file";
  if (dirent.isDirectory()) return "folder";
  if (!dirent.isSymbolicLink()) return undefined;
  const real = await unlessAbsent(root.realPathOf(path));
  const target = real === undefined ? undefined : await unlessAbsent(stat(real));
  if (target?.isFile()) return "file";
  return target?.isDirectory() ? "folder" : undefined;
}

/** `undefined` where the file went away after its folder was read. */
async function describe(entry: Entry): Promise<ObjectInfo | undefined> {
  const stats = await unlessAbsent(stat(entry.path, { bigint: true }));
  return stats === undefined || !stats.isFile() ? undefined : infoOf(entry.key, stats);
}

export function infoOf(key: string, stats: BigIntStats): ObjectInfo {
  return {
    key,
    sizeBytes: Number(stats.size),
    etag: `${stats.size.toString(16)}-${stats.mtimeNs.toString(16)}`,
    modifiedSeconds: Number(stats.mtimeNs / 1_000_000_000n),
  };
}

async function unlessAbsent<T>(pending: Promise<T>): Promise<T | undefined> {
  try {
    return await pending;
  } catch (thrown) {
    if (isAbsent(thrown)) return undefined;
    throw thrown;
  }
}

function circle(folder: string, real: string): TrommelError {
  return new TrommelError(
    "invalid-argument",
    `failed to list ${folder}: it is a link to a folder above it (${real}). Remove the link`,
  );
}
