import { readFile, readdir } from "node:fs/promises";
import { join, relative } from "node:path";
import { sha256Hex } from "@trommel/common";

/** Every file below a folder with the sha256 of its bytes, in order of their paths. */
export async function fileHashes(folder: string): Promise<Map<string, string>> {
  const hashes = new Map<string, string>();
  for (const file of await filesBelow(folder))
    hashes.set(file, sha256Hex(await readFile(join(folder, file))));
  return hashes;
}

/** Paths of the files below a folder, relative to it; none where it is not there. */
export async function filesBelow(folder: string): Promise<string[]> {
  try {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    return entries
      .filter((entry) => entry.isFile())
      .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
      .sort();
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw thrown;
  }
}
