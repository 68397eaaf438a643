import { randomUUID } from "node:crypto";
import { readdir, readFile, stat } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { isAbsent } from "./file-errors.js";
import { partialFilePrefix } from "./key.js";

/**
 * Files that are being written, and what killed writers left of them. A name tells who writes:
 * `.trommel-partial-<host>-<pid>-<start of the process>-<unique>`. On the same host the process table says whether that
 * one lives; of other hosts, who may share the folder, only age tells.
 */

/** Older ones of other hosts, and those whose name tells nothing, are dead: nobody writes one object for a day. */
const longestWriteMs = 24 * 60 * 60 * 1000;
/** A look into a very full folder ends after so many of them; the next writer goes on. */
const partialsAtOnce = 1000;

const host =
  hostname()
    .replace(/[^A-Za-z0-9]/g, "_")
    .slice(0, 64) || "unnamed";
let ownStart: Promise<string> | undefined;

/** A name for a new partial file of this process. */
export async function partialName(): Promise<string> {
  ownStart ??= startOf(process.pid).then((start) => start ?? "0");
  return `${partialFilePrefix}${host}-${process.pid}-${await ownStart}-${randomUUID()}`;
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
  const writer = /^([A-Za-z0-9_]+)-(\d+)-(\d+)-/.exec(name.slice(partialFilePrefix.length));
  if (writer !== null && writer[1] === host && (await knowsProcesses())) {
    const [, , pid = "", start = ""] = writer;
    const living = await startOf(Number(pid));
    // A number that another process has got meanwhile has another start.
    return living === undefined || (start !== "0" && living !== start);
  }
  try {
    const { mtimeMs } = await stat(path);
    return Date.now() - mtimeMs > longestWriteMs;
  } catch (thrown) {
    if (isAbsent(thrown)) return false;
    throw thrown;
  }
}

async function knowsProcesses(): Promise<boolean> {
  return (await startOf(process.pid)) !== undefined;
}

/** When a process began, in ticks since the machine did (proc(5), field 22); undefined where there is none. */
async function startOf(pid: number): Promise<string | undefined> {
  try {
    const text = await readFile(`/proc/${pid}/stat`, "utf8");
    // The second field, the name in parentheses, may hold anything.
    return text.slice(text.lastIndexOf(")") + 2).split(" ")[19];
  } catch {
    return undefined;
  }
}
