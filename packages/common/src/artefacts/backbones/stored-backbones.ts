import { messageOf, TrommelError } from "../../errors.js";
import { parseJsonAs } from "../../parse.js";
import type { ObjectStore } from "../../store/object-store.js";
import { sha256Hex } from "../../codec/canonical-json.js";
import { readBounds } from "../../store/read-bounds.js";
import { hubAdvice } from "./hub-reference.js";
import { backboneId, backboneSpec, type BackboneSpec } from "./backbone-spec.js";
import { backboneKeys } from "../store-keys.js";

/**
 * The complete backbones of a store, those that have a spec.json, in order of their ids.
 * @param onDamaged called for those with an invalid spec.json, which are skipped; without it the error is thrown
 */
export async function listBackbones(
  store: ObjectStore,
  onDamaged?: (id: string, error: TrommelError) => void,
): Promise<BackboneSpec[]> {
  const specs: BackboneSpec[] = [];
  for (const id of await listIds(store)) {
    try {
      specs.push(await readSpec(store, id));
    } catch (thrown) {
      if (onDamaged === undefined || !(thrown instanceof TrommelError) || thrown.code !== "corrupt")
        throw thrown;
      onDamaged(id, thrown);
    }
  }
  return specs;
}

async function listIds(store: ObjectStore): Promise<string[]> {
  const ids: string[] = [];
  try {
    for await (const { key } of store.list("backbones/")) {
      const id = /^backbones\/([^/]+)\/spec\.json$/.exec(key)?.[1];
      if (id !== undefined) ids.push(id);
    }
  } catch (thrown) {
    // A new store has no folder yet.
    if (!(thrown instanceof TrommelError) || thrown.code !== "not-found" || store.url.startsWith("s3:"))
      throw thrown;
  }
  return ids;
}

/** @throws TrommelError `corrupt` if spec.json is invalid */
async function readSpec(store: ObjectStore, id: string): Promise<BackboneSpec> {
  const key = backboneKeys(id).spec;
  const body = await store.get(key, readBounds.document);
  try {
    return parseJsonAs(backboneSpec, body, key);
  } catch (thrown) {
    throw new TrommelError(
      "corrupt",
      `${messageOf(thrown)}. Import the backbone again, which repairs it, or remove ${backboneKeys(id).root}`,
      { cause: thrown, context: { key } },
    );
  }
}

/**
 * A backbone by `name`, or by `name@` and the first digits of its hash. No other backbone's spec is read.
 * @throws TrommelError `not-found` listing what exists, `invalid-argument` for an ambiguous name, `corrupt` for an
 *   invalid spec
 */
export async function resolveBackbone(store: ObjectStore, reference: string): Promise<BackboneSpec> {
  const all = await listIds(store);
  const [name, digits] = reference.split("@");
  const candidates = all.filter((id) => {
    const [itsName, itsDigits = ""] = id.split("@");
    if (itsName !== name || digits === "") return false;
    return digits === undefined || itsDigits.startsWith(digits) || digits.startsWith(itsDigits);
  });
  const matches: BackboneSpec[] = [];
  for (const id of candidates) {
    const spec = await readSpec(store, id);
    if (spec.name === name && (digits === undefined || spec.hash.startsWith(digits))) matches.push(spec);
  }
  const [only] = matches;
  if (only !== undefined && matches.length === 1) return only;
  const ids = matches.length > 1 ? matches.map(backboneId) : all;
  if (matches.length > 1) {
    throw new TrommelError(
      "invalid-argument",
      `cannot find the backbone ${reference}: the name has several, ${ids.join(", ")}. Name one with its hash`,
      { context: { reference, ids } },
    );
  }
  const hub = hubAdvice(reference);
  const advice =
    hub === undefined
      ? "Import it with 'trommel backbone import'"
      : `A backbone is named as in the store: get it with '${hub.pull}', which names it ${hub.name}`;
  throw new TrommelError(
    "not-found",
    `cannot find the backbone ${reference} in ${store.url}: ${ids.length === 0 ? "it holds none" : `it holds ${ids.join(", ")}`}. ${advice}`,
    { context: { reference, ids } },
  );
}

/** The network of a backbone, its hash checked. */
export async function readBackboneModel(store: ObjectStore, spec: BackboneSpec): Promise<Uint8Array> {
  const key = backboneKeys(backboneId(spec)).model;
  const bytes = await store.get(key, readBounds.network);
  const found = sha256Hex(bytes);
  if (found !== spec.modelSha256) {
    throw new TrommelError(
      "corrupt",
      `cannot load the backbone ${backboneId(spec)}: its model.onnx has sha256 ${found}, and its spec says ${spec.modelSha256}. Import it again`,
      { context: { key, found, expected: spec.modelSha256 } },
    );
  }
  return bytes;
}
