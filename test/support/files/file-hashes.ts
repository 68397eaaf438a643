import assert from "node:assert/strict";
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

/** Compares two sets of hashed files, and names those that differ rather than print every hash. */
export function assertSameFiles(
  actual: ReadonlyMap<string, string>,
  expected: ReadonlyMap<string, string>,
): void {
  const names = [...new Set([...actual.keys(), ...expected.keys()])].sort();
  const differing = names
    .filter((name) => actual.get(name) !== expected.get(name))
    .map((name) => {
      if (!actual.has(name)) return `${name} is missing`;
      return expected.has(name) ? `${name} has other bytes` : `${name} is new`;
    });
  assert.deepEqual(differing, []);
}
