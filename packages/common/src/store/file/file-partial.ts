import { randomUUID } from "node:crypto";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { hasProcessEnded, ownProcessName } from "../../process-name.js";
import { isAbsent } from "./file-errors.js";
import { partialFilePrefix } from "../key.js";

/**
 * Files that are being written, and what killed writers left of them. A name tells who writes:
 * `.trommel-partial-<host>-<pid>-<start of the process>-<unique>`. On the same host the process table says whether that
 * one lives; of other hosts, who may share the folder, only age tells.
 */

/** Older ones of other hosts, and those whose name tells nothing, are dead: nobody writes one object for a day. */
const longestWriteMs = 24 * 60 * 60 * 1000;
/** Reading a very full folder ends after so many of them; the next writer continues. */
const partialsAtOnce = 1000;

/** A name for a new partial file of this process. */
export async function partialName(): Promise<string> {
  return `${partialFilePrefix}${await ownProcessName()}-${randomUUID()}`;
}

/** The partial files in a folder whose writers are dead. */
export async function deadPartials(folder: string): Promise<string[]> {
  const names = (await readdir(folder)).filter((name) => name.startsWith(partialFilePrefix));
  const dead: string[] = [];
  for (const name of names.slice(0, partialsAtOnce)) {
    const path = join(folder, name);
    if (await isDead(name, path)) dead.push(path);
  }
  return dead;
}

/** A folder and those within it; none where it is not there. Links are not followed. */
export async function* foldersBelow(folder: string): AsyncGenerator<string> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((thrown: unknown) => {
    if (isAbsent(thrown)) return undefined;
    throw thrown;
  });
  if (entries === undefined) return;
  yield folder;
  for (const entry of entries) {
    if (entry.isDirectory()) yield* foldersBelow(join(folder, entry.name));
  }
}

async function isDead(name: string, path: string): Promise<boolean> {
  const ended = await hasProcessEnded(name.slice(partialFilePrefix.length));
  if (ended !== undefined) return ended;
  try {
    const { mtimeMs } = await stat(path);
    return Date.now() - mtimeMs > longestWriteMs;
  } catch (thrown) {
    if (isAbsent(thrown)) return false;
    throw thrown;
  }
}
