import {
  bundleFiles,
  canonicalJson,
  openStore,
  TrommelError,
  type BundleManifest,
  type ObjectStore,
  type RunConfig,
} from "@trommel/common";
import { putJson } from "./ledger.js";

/**
 * Copies a bundle to where the run exports it: a folder or bucket that need not be the store's.
 *
 * Data first, `bundle.json` last: with it the copy is whole. It comes before the store's own `bundle.json`, so a run is
 * complete only when its export is. A retry writes the same bytes again. `_trommel/run.json` beside it says whose it is.
 * @param files everything but the manifest, by file name
 * @throws TrommelError `conflict` where another run's bundle has taken the place meanwhile
 */
export async function exportBundle(
  config: RunConfig,
  files: Readonly<Record<string, Uint8Array>>,
  manifest: BundleManifest,
  signal: AbortSignal,
): Promise<void> {
  if (config.export === null) return;
  const target = openStore(config.export);
  try {
    await claim(target, config);
    for (const [name, bytes] of Object.entries(files)) {
      signal.throwIfAborted();
      await target.put(name, bytes);
    }
    await putJson(target, bundleFiles.manifest, manifest);
  } finally {
    target.close();
  }
}

const key = "_trommel/run.json";

/** One run has the place: of two that end at the same moment, the second finds the first one's claim. */
async function claim(target: ObjectStore, config: RunConfig): Promise<void> {
  const { id, dataset, recipe, labels } = config;
  const body = Buffer.from(
    `${canonicalJson({ formatVersion: 1, run: id, dataset, recipe, labels })}\n`,
    "utf8",
  );
  if ((await target.put(key, body, { ifAbsent: true, contentType: "application/json" })) === "written")
    return;
  const standing = await target.get(key);
  if (body.equals(standing)) return;
  throw new TrommelError(
    "conflict",
    `failed to export to ${target.url}: another run has taken the place (${key}). Empty it and resume ${config.id}, or train with another --output`,
    { context: { location: target.url, key } },
  );
}
