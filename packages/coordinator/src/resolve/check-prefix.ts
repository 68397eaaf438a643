import { openStore } from "@trommel/common";

/** Fails early and clearly if a prefix cannot be listed at all. */
export async function checkPrefix(location: string): Promise<void> {
  const store = openStore(location);
  try {
    for await (const _ of store.list("", { withUnusable: true })) return;
  } finally {
    store.close();
  }
}
