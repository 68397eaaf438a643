import { canonicalJson, type ObjectStore } from "@trommel/common";

export async function putJson(store: ObjectStore, key: string, value: unknown): Promise<void> {
  await store.put(key, jsonBytes(value), { contentType: "application/json" });
}

/** Equal values give equal bytes. */
export function jsonBytes(value: unknown): Uint8Array {
  return Buffer.from(`${canonicalJson(value)}\n`, "utf8");
}
