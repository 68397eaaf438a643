import type { Recipe } from "@trommel/common";

/**
 * The group of an image by its key, normalised (Unicode NFC); undefined if it has none.
 *
 * A folder level gives the path down to that folder, so that equal names in two places are two groups; a pattern gives its first
 * capture, or all that it matches.
 */
export function groupOf(groups: Recipe["split"]["groups"], key: string): string | undefined {
  const normal = key.normalize("NFC");
  if (groups === null) return undefined;
  if ("folder" in groups) {
    const folders = normal.split("/").slice(0, -1);
    return folders.length < groups.folder ? undefined : folders.slice(0, groups.folder).join("/");
  }
  const match = new RegExp(groups.pattern, "u").exec(normal);
  return match === null ? undefined : (match[1] ?? match[0]);
}
