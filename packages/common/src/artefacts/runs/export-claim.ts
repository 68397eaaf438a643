import { canonicalJson } from "../../codec/canonical-json.js";
import { TrommelError } from "../../errors.js";
import type { ObjectStore } from "../../store/object-store.js";
import { readBounds } from "../../store/read-bounds.js";
import type { RunConfig } from "./run.js";
import { putJsonOnce } from "../../codec/json-artefact.js";

const key = "_trommel/run.json";

/**
 * Claims the location that a run's bundle is copied to for one run. If two runs claim it at the same moment, the second finds
 * the claim of the first. Safe to repeat.
 * @throws TrommelError `conflict` if another run has the location; what the store throws if it cannot be written
 */
export async function claimExport(target: ObjectStore, config: RunConfig): Promise<void> {
  const { id, dataset, recipe, labels } = config;
  const body = Buffer.from(
    `${canonicalJson({ formatVersion: 1, run: id, dataset, recipe, labels })}\n`,
    "utf8",
  );
  if ((await putJsonOnce(target, key, body)) === "written") return;
  if (body.equals(await target.get(key, readBounds.document))) return;
  throw new TrommelError(
    "conflict",
    `cannot export to ${target.url}: another run has taken the place (${key}). Empty it, or train with another --output`,
    { context: { location: target.url, key } },
  );
}
