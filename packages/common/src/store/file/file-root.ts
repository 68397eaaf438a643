import { mkdir, realpath } from "node:fs/promises";
import { dirname, join, sep } from "node:path";
import { TrommelError } from "../../errors.js";
import { isAbsent, systemCode } from "./file-errors.js";

/**
 * Keeps every access inside a store's folder. A symbolic link is followed where its target is inside the root, and
 * refused where it leaves it. The root itself may be a link.
 */
export class FileRoot {
  /** Looked up again only where something seems to be outside: the root may have become another link. */
  private realRoot: string | undefined;

  constructor(readonly path: string) {}

  /** The path that a key names, links not followed. */
  pathOf(key: string): string {
    return join(this.path, key);
  }

  /** The real path of something that exists; a system error (ENOENT) where it does not. */
  async realPathOf(path: string): Promise<string> {
    const real = await realpath(path);
    if (isWithin(this.realRoot, real)) return real;
    this.realRoot = await realpath(this.path);
    if (!isWithin(this.realRoot, real)) {
      throw new TrommelError(
        "forbidden",
        `cannot follow ${path}: it is a link out of the store ${this.path}, to ${real}. ` +
          `Copy the target into the store, or open the folder that holds both`,
        { context: { path, target: real } },
      );
    }
    return real;
  }

  /** Makes the folders above a file that is to be written, and returns the lowest one's path. */
  async makeFolderFor(path: string): Promise<string> {
    const folder = dirname(path);
    // The check comes first: making folders through a link would already write outside.
    if (!(await this.isThere(folder))) {
      await this.checkNearestExisting(dirname(folder));
      await makeOneByOne(folder);
    }
    return folder;
  }

  private async checkNearestExisting(folder: string): Promise<void> {
    let current = folder;
    while (current.length > this.path.length) {
      if (await this.isThere(current)) return;
      current = dirname(current);
    }
  }

  private async isThere(path: string): Promise<boolean> {
    try {
      await this.realPathOf(path);
      return true;
    } catch (thrown) {
      if (!isAbsent(thrown)) throw thrown;
      return false;
    }
  }
}

/**
 * Makes a folder and those above it, where they are missing. Not by `recursive`: where mkdir(2) says ENOENT below a
 * folder that is there (as in /proc) that retries without end on a thread of the pool, and it hides that a mount is read-only.
 * @throws the system's own error of the folder that it cannot make
 */
async function makeOneByOne(folder: string): Promise<void> {
  if (await madeOrThere(folder)) return;
  const above = dirname(folder);
  if (above !== folder) await makeOneByOne(above);
  if (!(await madeOrThere(folder))) await mkdir(folder);
}

/** @returns false where a folder above it is missing, as far as the system says */
async function madeOrThere(folder: string): Promise<boolean> {
  try {
    await mkdir(folder);
  } catch (thrown) {
    // A file of that name is found when something is to be written below it.
    if (systemCode(thrown) !== "EEXIST") {
      if (systemCode(thrown) === "ENOENT") return false;
      throw thrown;
    }
  }
  return true;
}

function isWithin(root: string | undefined, real: string): boolean {
  return root !== undefined && (real === root || real.startsWith(root.endsWith(sep) ? root : root + sep));
}
