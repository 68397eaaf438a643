import { z } from "zod";
import { TrommelError } from "../errors.js";
import { parseAs, parseJsonAs } from "../parse.js";
import { canonicalJson, sha256Hex } from "./canonical-json.js";

/**
 * Small artefacts without a marker, since each is one JSON object: configurations, listing summaries, splits, requests. Each
 * carries `sha256`, the hash of its canonical JSON without that field, so that a changed bit cannot pass as another seed or split.
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
        `cannot read ${what}: it states the sha256 ${stated} for its content, which has ${found}. ` +
          `Restore it from a copy, or start again under another id or --output`,
        { context: { what, stated, found } },
      );
    }
  }
  return parseAs(schema, value, what, "corrupt");
}
