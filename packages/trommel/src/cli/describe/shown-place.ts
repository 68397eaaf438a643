import { fileURLToPath } from "node:url";

/**
 * A location as people and other programs open it: a `file:` URL that has characters in percent form is shown as the path that it
 * means, and every other location as it is.
 */
export function shownPlace(location: string): string {
  return location.startsWith("file:") && location.includes("%") ? fileURLToPath(location) : location;
}
