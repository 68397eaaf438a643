import { locationOf, partInside } from "@trommel/common/store";

/** The folders that a store has at its root. */
const ownFolders = ["runs", "features", "backbones", "splits", "scorings", "evaluations"];

/**
 * Why results must not be written to a location: they would lie between the store's own files.
 * @returns undefined if they may be
 */
export function whyStoreItself(location: string, storeUrl: string): string | undefined {
  if (partInside(storeUrl, location) === "") return "it is the root of the store";
  const own = ownFolders.find((folder) => partInside(locationOf(storeUrl, folder), location) !== undefined);
  return own === undefined ? undefined : `it is inside the folder ${own}/ of the store`;
}
