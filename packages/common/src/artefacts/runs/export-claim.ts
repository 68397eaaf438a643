import { canonicalJson } from "../../codec/canonical-json.js";
import { TrommelError } from "../../errors.js";
import type { ObjectStore } from "../../store/object-store.js";
import { readBounds } from "../../store/read-bounds.js";
import type { RunConfig } from "./run.js";
import { putJsonOnce } from "../../codec/json-artefact.js";

const key = "_trommel/run.json";

/**
 * Takes the place that a run's bundle is copied to: one run has it. Of two that want it at the same moment, the second finds
 * the first one's claim. Safe to repeat.
 * @throws TrommelError `conflict` where another run has the place; what the store throws where it cannot be written
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
    `failed to export to ${target.url}: another run has taken the place (${key}). Empty it, or train with another --output`,
    { context: { location: target.url, key } },
  );
}
