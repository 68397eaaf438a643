import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { messageOf, TrommelError } from "@trommel/common";

/**
 * Refuses a folder that nothing can be written into before anything is started for it. Nothing is written: of a bucket only a write
 * would tell.
 * @param flag as the user gives the place
 * @param location absolute, as `resolveLocation` gives it
 * @throws TrommelError `forbidden` naming the nearest folder that exists
 */
export async function checkWritable(location: string, flag: string): Promise<void> {
  if (!location.startsWith("file:")) return;
  const path = fileURLToPath(location);
  for (let folder = path; ; folder = dirname(folder)) {
    try {
      await access(folder, constants.W_OK | constants.X_OK);
      return;
    } catch (thrown) {
      const { code } = thrown as { readonly code?: string };
      if (code === "ENOENT" && dirname(folder) !== folder) continue;
      const why = reasons[code ?? ""];
      // What else is wrong is found where it is written.
      if (why === undefined) return;
      throw new TrommelError(
        "forbidden",
        `cannot write into ${path}: ${why(folder)}. Give ${flag} a folder that can be written`,
        { cause: thrown, context: { location, reason: messageOf(thrown) } },
      );
    }
  }
}

const reasons: Readonly<Record<string, (folder: string) => string>> = {
  EROFS: (folder) => `${folder} is on a read-only file system`,
  EACCES: (folder) => `this user may not write into ${folder}`,
  EPERM: (folder) => `this user may not write into ${folder}`,
  ENOTDIR: (folder) => `${dirname(folder)} is a file`,
};
