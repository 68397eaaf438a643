import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { messageOf, TrommelError } from "@trommel/common";

/**
 * Refuses a folder that nothing can be written into before anything is started for it. Nothing is written: only a write shows whether a
 * bucket takes it.
 * @param location absolute, as `resolveLocation` gives it
 * @param flag as the user gives the place
 * @throws TrommelError `forbidden` naming the nearest folder that exists, `invalid-argument` if that is a file
 */
export async function checkWritable(location: string, flag: string): Promise<void> {
  if (!location.startsWith("file:")) return;
  const path = fileURLToPath(location);
  const refuse = (code: "forbidden" | "invalid-argument", why: string, cause?: unknown): TrommelError =>
    new TrommelError(
      code,
      `cannot write into ${path}: ${why}. Give ${flag} a folder that can be written`,
      cause === undefined
        ? { context: { location } }
        : { cause, context: { location, reason: messageOf(cause) } },
    );
  const nearest = await nearestThere(path);
  if (nearest === undefined) return;
  if (!nearest.isFolder) throw refuse("invalid-argument", `${nearest.path} is a file`);
  try {
    await access(nearest.path, constants.W_OK | constants.X_OK);
  } catch (thrown) {
    const why = reasons[codeOf(thrown)];
    // What else is wrong is found where it is written.
    if (why !== undefined) throw refuse("forbidden", why(nearest.path), thrown);
  }
}

/** A path, or what lies above it and exists; undefined if nothing can be looked at. */
async function nearestThere(
  path: string,
): Promise<{ readonly path: string; readonly isFolder: boolean } | undefined> {
  for (let at = path; ; at = dirname(at)) {
    try {
      return { path: at, isFolder: (await stat(at)).isDirectory() };
    } catch (thrown) {
      if (!["ENOENT", "ENOTDIR"].includes(codeOf(thrown)) || dirname(at) === at) return undefined;
    }
  }
}

function codeOf(thrown: unknown): string {
  return String((thrown as { readonly code?: unknown }).code);
}

const reasons: Readonly<Record<string, (folder: string) => string>> = {
  EROFS: (folder) => `${folder} is on a read-only file system`,
  EACCES: (folder) => `this user may not write into ${folder}`,
  EPERM: (folder) => `this user may not write into ${folder}`,
};
