import { realpathSync } from "node:fs";
import { realpath } from "node:fs/promises";
import { dirname } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { TrommelError } from "@trommel/common";
import { resolveLocation } from "@trommel/common";
import { isObjectLocation, locateObject, partInside } from "@trommel/common/store";
import { StatusError } from "./problem.js";

/**
 * The places that requests may name. Without them a token would give a way to the server's disk, and to every bucket that its
 * credentials open.
 */
export class Roots {
  readonly #roots: readonly string[];
  readonly #folder: string;
  /** Whether a folder of the disk lies under a root, links followed. */
  readonly #folders = new Map<string, boolean>();

  /** @param folder the start of relative paths */
  constructor(roots: readonly string[], folder: string) {
    this.#folder = folder;
    this.#roots = roots.map((root) => resolveLocation(root, folder));
  }

  get locations(): readonly string[] {
    return this.#roots;
  }

  /**
   * The absolute location of what a request names.
   * @param field its field, for the message
   * @throws TrommelError `invalid-argument` for no location, `forbidden` for one outside the roots
   */
  async require(text: string, field: string): Promise<string> {
    if (/^https:/i.test(text)) throw this.#outside(text, field);
    const location = resolveLocation(text, this.#folder);
    if (!this.#isInside(location) || !(await this.#isInsideOnDisk(location)))
      throw this.#outside(location, field);
    return location;
  }

  /** Whether a row of a manifest may name an object by this whole location. What `https://` reads has rules of its own. */
  allowsObject(location: string): boolean {
    if (/^https:/i.test(location)) return true;
    if (!isObjectLocation(location)) return false;
    const { root, key } = locateObject(location);
    if (root.startsWith("file:")) return this.#isFolderInside(root);
    return this.#isInside(`${root.replace(/\/$/, "")}/${key}`);
  }

  /** Many rows name images of one folder, which is looked up once. */
  #isFolderInside(folder: string): boolean {
    let isInside = this.#folders.get(folder);
    if (isInside === undefined) {
      if (this.#folders.size >= foldersAtMost) this.#folders.clear();
      isInside = this.#isInside(folder) && this.#leadsInside(folder);
      this.#folders.set(folder, isInside);
    }
    return isInside;
  }

  #leadsInside(folder: string): boolean {
    const real = existingFolder(folder);
    return (
      real === undefined ||
      this.#roots.some((root) => partInside(existingFolder(root) ?? root, real) !== undefined)
    );
  }

  #isInside(location: string): boolean {
    return this.#roots.some((root) => partInside(root, location) !== undefined);
  }

  /** A link below a root may lead out of it. */
  async #isInsideOnDisk(location: string): Promise<boolean> {
    if (!location.startsWith("file:")) return true;
    const real = await realLocation(location);
    for (const root of this.#roots)
      if (root.startsWith("file:") && partInside(await realLocation(root), real) !== undefined) return true;
    return false;
  }

  #outside(location: string, field: string): TrommelError {
    return new StatusError(
      403,
      "forbidden",
      `cannot use ${JSON.stringify(location)} as ${field}: it lies under none of this server's roots (${this.#roots.join(", ")}). Name a place there, or start the server with another --root`,
    );
  }
}

const foldersAtMost = 10_000;

/** What a folder leads to; undefined if it does not exist. */
function existingFolder(location: string): string | undefined {
  if (!location.startsWith("file:")) return undefined;
  try {
    return pathToFileURL(realpathSync(fileURLToPath(location))).href;
  } catch {
    return undefined;
  }
}

/** What a location leads to, by the deepest of its folders that exists. */
async function realLocation(location: string): Promise<string> {
  const path = fileURLToPath(location);
  let existing = path;
  for (;;) {
    try {
      const real = await realpath(existing);
      return pathToFileURL(`${real}${path.slice(existing.length)}`).href.replace(/(?<=[^/])\/$/, "");
    } catch (thrown) {
      const { code } = thrown as NodeJS.ErrnoException;
      const above = dirname(existing);
      if ((code !== "ENOENT" && code !== "ENOTDIR") || above === existing) throw thrown;
      existing = above;
    }
  }
}
