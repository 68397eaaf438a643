import { type BigIntStats, type Dirent } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { TrommelError } from "../../errors.js";
import { isAbsent, systemCode } from "./file-errors.js";
import { segmentOfName } from "./file-name.js";
import type { FileRoot } from "./file-root.js";
import { compareKeys, partialFilePrefix, whyIllegalKey } from "../key.js";
import type { ObjectInfo, UnusableReason } from "../object-store.js";

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
  /** Lists what cannot be read, too; else it is left out with a notice. */
  readonly withUnusable: boolean;
  readonly onNotice: (notice: string) => void;
}

/** The kind of a name in a folder; `illegal-folder` is a folder that no key can name, nor anything in it. */
type Kind = "file" | "folder" | "illegal-folder" | UnusableReason;

interface Entry {
  /** Whole key; a folder's ends in `/`. */
  readonly key: string;
  /** As bytes where they are no text. */
  readonly path: string | Buffer;
  readonly kind: Kind;
}

interface Folder {
  readonly key: string;
  readonly path: string | Buffer;
  /** Real paths of this folder and those that it was reached through; undefined within an illegal one. */
  readonly reals: ReadonlySet<string> | undefined;
}

/**
 * @throws a system error where the folder of the prefix cannot be read, and for one below it that may not be read unless
 *   what is unusable is listed; nothing where it does not exist; TrommelError `forbidden` where it is a link out of the root
 */
export async function* listFiles(listing: FileListing): AsyncGenerator<ObjectInfo> {
  const key = listing.prefix.slice(0, listing.prefix.lastIndexOf("/") + 1);
  const path = listing.root.pathOf(key);
  const real = await unlessAbsent(listing.root.realPathOf(path));
  if (real === undefined) return;
  const folder: Folder = { key, path, reals: new Set([real]) };
  yield* listEntries(listing, folder, await readEntries(listing, folder));
}

async function* listEntries(
  listing: FileListing,
  folder: Folder,
  found: readonly Entry[],
): AsyncGenerator<ObjectInfo> {
  const entries = found.filter((entry) => isWanted(listing, entry));
  entries.sort((left, right) => compareKeys(left.key, right.key));
  for (let start = 0; start < entries.length; start += statWindow) {
    const window = entries.slice(start, start + statWindow);
    const infos = await Promise.all(window.map((entry) => describe(listing, entry)));
    for (const [index, entry] of window.entries()) {
      const info = infos[index];
      if (info?.unusable !== undefined && !listing.withUnusable) notice(listing, entry);
      else if (info !== undefined) yield info;
      if (isFolder(entry.kind)) yield* listSubfolder(listing, folder, entry);
    }
  }
}

async function* listSubfolder(
  listing: FileListing,
  above: Folder,
  { key, path, kind }: Entry,
): AsyncGenerator<ObjectInfo> {
  let folder: Folder = { key, path, reals: undefined };
  let entries: Entry[];
  try {
    if (kind === "folder") {
      const real = await unlessAbsent(listing.root.realPathOf(path.toString()));
      if (real === undefined) return;
      folder = { key, path, reals: new Set(above.reals).add(real) };
    }
    entries = await readEntries(listing, folder);
  } catch (thrown) {
    if (!isLeftOut(listing, thrown)) throw thrown;
    // A listing that is taken up behind this very row looks into the folder again.
    if (compareKeys(key, listing.startAfter) > 0) yield unusable(key, "forbidden-folder");
    return;
  }
  yield* listEntries(listing, folder, entries);
}

/**
 * Whether it is a row of its own that the system lets us not look at something. Elsewhere it is an error: artefacts that
 * are there and not seen would pass for ones that are gone.
 */
function isLeftOut({ withUnusable }: FileListing, thrown: unknown): boolean {
  const code = systemCode(thrown);
  return withUnusable && (code === "EACCES" || code === "EPERM");
}

function isFolder(kind: Kind): boolean {
  return kind === "folder" || kind === "illegal-folder";
}

/** Whole folders are left out unread: outside the prefix, or with all of their keys at or before `startAfter`. */
function isWanted({ prefix, startAfter }: FileListing, { key }: Entry): boolean {
  if (!key.endsWith("/")) return key.startsWith(prefix) && compareKeys(key, startAfter) > 0;
  const mayMatch = key.startsWith(prefix) || prefix.startsWith(key);
  return mayMatch && (startAfter.startsWith(key) || compareKeys(key, startAfter) > 0);
}

async function readEntries(listing: FileListing, folder: Folder): Promise<Entry[]> {
  const found = await unlessAbsent(readdir(folder.path, { withFileTypes: true, encoding: "buffer" }));
  const entries: Entry[] = [];
  for (const dirent of found ?? []) {
    const segment = segmentOfName(dirent.name);
    if (segment.startsWith(partialFilePrefix)) continue;
    const isLegal = folder.reals !== undefined && whyIllegalKey(segment) === undefined;
    const path = isLegal
      ? join(folder.path.toString(), segment)
      : Buffer.concat([Buffer.from(folder.path), Buffer.from("/"), dirent.name]);
    const kind = isLegal ? await kindOf(listing, path.toString(), dirent, folder) : illegalKind(dirent);
    entries.push({ key: folder.key + segment + (isFolder(kind) ? "/" : ""), path, kind });
  }
  return entries;
}

/** Links below a name that is no key are not followed: whatever they lead to has no key either. */
function illegalKind(dirent: Dirent<Buffer>): Kind {
  return dirent.isDirectory() ? "illegal-folder" : "illegal-key";
}

async function kindOf(
  listing: FileListing,
  path: string,
  dirent: Dirent<Buffer>,
  above: Folder,
): Promise<Kind> {
  if (dirent.isFile()) return "file";
  if (dirent.isDirectory()) return "folder";
  if (!dirent.isSymbolicLink()) return "not-a-file";
  try {
    const real = await listing.root.realPathOf(path);
    const target = await stat(real);
    if (target.isFile()) return "file";
    if (!target.isDirectory()) return "not-a-file";
    return above.reals?.has(real) === true ? "circular-link" : "folder";
  } catch (thrown) {
    if (isAbsent(thrown)) return "not-a-file";
    if (systemCode(thrown) === "ELOOP") return "circular-link";
    if (thrown instanceof TrommelError && thrown.code === "forbidden") return "outside-the-folder";
    if (isLeftOut(listing, thrown)) return "forbidden-folder";
    throw thrown;
  }
}

function notice({ onNotice }: FileListing, { key, kind }: Entry): void {
  onNotice(`left out of the listing: ${JSON.stringify(key)}, because ${whyUnusable[kind as UnusableReason]}`);
}

const whyUnusable: Readonly<Record<UnusableReason, string>> = {
  "illegal-key": "its name is no legal key",
  "not-a-file": "it is no file",
  "outside-the-folder": "it is a link out of the store's folder",
  "circular-link": "it is a link to itself or to a folder above it",
  "forbidden-folder": "it may not be looked at",
};

/** `undefined` for folders, and if the file disappeared after its folder was read. */
async function describe(listing: FileListing, { key, path, kind }: Entry): Promise<ObjectInfo | undefined> {
  if (kind === "folder" || kind === "illegal-folder") return undefined;
  if (kind !== "file") return unusable(key, kind);
  try {
    const stats = await unlessAbsent(stat(path, { bigint: true }));
    return stats === undefined || !stats.isFile() ? undefined : infoOf(key, stats);
  } catch (thrown) {
    if (isLeftOut(listing, thrown)) return unusable(key, "forbidden-folder");
    throw thrown;
  }
}

function unusable(key: string, reason: UnusableReason): ObjectInfo {
  return { key, sizeBytes: 0, etag: "", unusable: reason };
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
