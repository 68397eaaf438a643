import { TrommelError } from "../errors.js";
import { parseJsonAs } from "../parse.js";
import type { ObjectStore } from "../store/object-store.js";
import { sha256Hex } from "../codec/canonical-json.js";
import { readBounds } from "../store/read-bounds.js";
import { backboneId, backboneSpec, type BackboneSpec } from "./backbone-spec.js";
import { backboneKeys } from "./names.js";

/** The backbones of a store: whole ones only, those whose spec.json stands. In order of their ids. */
export async function listBackbones(store: ObjectStore): Promise<BackboneSpec[]> {
  const specs: BackboneSpec[] = [];
  try {
    for await (const { key } of store.list("backbones/")) {
      if (/^backbones\/[^/]+\/spec\.json$/.test(key)) {
        specs.push(parseJsonAs(backboneSpec, await store.get(key, readBounds.document), key));
      }
    }
  } catch (thrown) {
    // A store that nothing was ever written to has no folder yet.
    if (!(thrown instanceof TrommelError) || thrown.code !== "not-found" || store.url.startsWith("s3:"))
      throw thrown;
  }
  return specs;
}

/**
 * A backbone by `name`, or by `name@` and the first digits of its hash.
 * @throws TrommelError `not-found` listing what is there, `invalid-argument` where a name is ambiguous
 */
export async function resolveBackbone(store: ObjectStore, reference: string): Promise<BackboneSpec> {
  const all = await listBackbones(store);
  const [name, digits] = reference.split("@");
  const matches = all.filter(
    (spec) => spec.name === name && (digits === undefined || (digits !== "" && spec.hash.startsWith(digits))),
  );
  const [only] = matches;
  if (only !== undefined && matches.length === 1) return only;
  const ids = (matches.length > 1 ? matches : all).map(backboneId);
  if (matches.length > 1) {
    throw new TrommelError(
      "invalid-argument",
      `failed to find the backbone ${reference}: the name has several, ${ids.join(", ")}. Name one with its hash`,
      { context: { reference, ids } },
    );
  }
  throw new TrommelError(
    "not-found",
    `failed to find the backbone ${reference} in ${store.url}: ${ids.length === 0 ? "it holds none" : `it holds ${ids.join(", ")}`}. Import it with 'trommel backbone import'`,
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
      `failed to load the backbone ${backboneId(spec)}: its model.onnx has sha256 ${found}, and its spec says ${spec.modelSha256}. Import it again`,
      { context: { key, found, expected: spec.modelSha256 } },
    );
  }
  return bytes;
}
