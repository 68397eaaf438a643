import { z } from "zod";
import { TrommelError } from "../errors.js";
import { parseAs, parseJsonAs } from "../parse.js";
import { canonicalJson, sha256Hex } from "./canonical-json.js";

/**
 * Small artefacts that have no marker, for they are one JSON object: configurations, listings' sums, splits, requests. Each carries
 * `sha256`, the hash of its canonical JSON without that field, so that a changed bit is never taken for another seed or split.
 */

/** The object's canonical JSON in UTF-8, with its hash among its fields. */
export function sealedJson(value: Readonly<Record<string, unknown>>): Buffer {
  return Buffer.from(canonicalJson({ ...value, sha256: sha256Hex(canonicalJson(value)) }), "utf8");
}

const sealed = z.looseObject({ sha256: z.string().optional() });

/**
 * Parses what {@link sealedJson} has written; also an object without a hash, as earlier versions wrote it.
 * @param what names the artefact in the message
 * @throws TrommelError `corrupt`
 */
export function parseSealedAs<S extends z.ZodType>(schema: S, bytes: Uint8Array, what: string): z.output<S> {
  const { sha256: stated, ...value } = parseJsonAs(sealed, bytes, what);
  if (stated !== undefined) {
    const found = sha256Hex(canonicalJson(value));
    if (found !== stated) {
      throw new TrommelError(
        "corrupt",
        `failed to read ${what}: it says that its content has the sha256 ${stated}, and it has ${found}. ` +
          `Put it back from a copy, or start anew under another id or --output`,
        { context: { what, stated, found } },
      );
    }
  }
  return parseAs(schema, value, what, "corrupt");
}
