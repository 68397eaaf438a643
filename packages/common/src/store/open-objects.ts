import { hostRules } from "./http/host-rules.js";
import { HttpStore } from "./http/http-store.js";
import type { ObjectStore } from "./object-store.js";
import { openStore } from "./open-store.js";

/**
 * Opens what whole locations lead to: a bucket, a folder, or the address of a server (`https://host`), which is only read.
 * @param root as `locateObject` gives it, or any location of a store
 */
export function openObjects(root: string): ObjectStore {
  return /^https:/i.test(root) ? new HttpStore(root, { rules: hostRules() }) : openStore(root);
}
