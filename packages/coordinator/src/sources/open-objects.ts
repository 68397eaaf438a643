import { openStore, type ObjectStore } from "@trommel/common";

/** Opens what whole locations lead to: a bucket, a folder or a server. It is only read. */
export function openObjects(root: string): Pick<ObjectStore, "get" | "head" | "close"> {
  return openStore(root);
}
