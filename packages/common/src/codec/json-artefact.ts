import type { ObjectStore } from "../store/object-store.js";
import { canonicalJson } from "./canonical-json.js";

/** Canonical JSON in UTF-8: equal values give equal bytes. */
export function jsonBytes(value: unknown): Buffer {
  return Buffer.from(canonicalJson(value), "utf8");
}

/** {@link jsonBytes} with a line feed at the end, for files that people open. */
export function jsonFile(value: unknown): Buffer {
  return Buffer.from(`${canonicalJson(value)}\n`, "utf8");
}

/**
 * Writes a JSON object with its content type, replacing an earlier one.
 * @param body see {@link jsonBytes} and {@link jsonFile}
 */
export async function putJson(store: ObjectStore, key: string, body: Uint8Array): Promise<void> {
  await store.put(key, body, { contentType: "application/json" });
}

/** Like {@link putJson}, but keeps an existing object and then gives `"exists"`. */
export async function putJsonOnce(
  store: ObjectStore,
  key: string,
  body: Uint8Array,
): Promise<"written" | "exists"> {
  return await store.put(key, body, { ifAbsent: true, contentType: "application/json" });
}
