import { canonicalJson, TrommelError, type ObjectStore } from "@trommel/common";
import { putJsonOnce, sealedJson } from "@trommel/common/codec";
import { readBounds } from "@trommel/common/store";

/** A run or scoring that is resolved and checked. Nothing is written until it is claimed. */
export interface Resolved<Config> {
  readonly config: Config;
  /** Writes the configuration. @throws TrommelError `conflict` if another run has the id or the output */
  readonly claim: () => Promise<void>;
}

/** Writes a configuration once; if the key exists, it must hold the same one. */
export async function writeConfig<T extends { readonly id: string }>(
  store: ObjectStore,
  key: string,
  config: T,
  parse: (body: Uint8Array) => T,
): Promise<void> {
  const body = sealedJson(config);
  if ((await putJsonOnce(store, key, body)) === "written") return;
  await checkConfig(store, key, config, parse);
}

/** @throws TrommelError `conflict` if the key holds another configuration */
export async function checkConfig<T extends { readonly id: string }>(
  store: ObjectStore,
  key: string,
  config: T,
  parse: (body: Uint8Array) => T,
): Promise<void> {
  if ((await store.head(key)) === undefined) return;
  const existing = parse(await store.get(key, readBounds.document));
  if (canonicalJson(existing) === canonicalJson(config)) return;
  const fields = differingFields(existing, config);
  throw new TrommelError(
    "conflict",
    `cannot use the id ${config.id}: it belongs to another configuration (they differ in ${fields.join(", ")}). Choose another id with --run, or remove the old one ('trommel store remove ${config.id}')`,
    { context: { id: config.id, fields } },
  );
}

function differingFields(a: unknown, b: unknown, path = ""): string[] {
  if (canonicalJson(a) === canonicalJson(b)) return [];
  if (!isRecord(a) || !isRecord(b)) return [path];
  const names = [...new Set([...Object.keys(a), ...Object.keys(b)])];
  return names.flatMap((name) =>
    differingFields(a[name] ?? null, b[name] ?? null, path === "" ? name : `${path}.${name}`),
  );
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
