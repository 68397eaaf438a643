import {
  bundleFiles,
  bundleManifest,
  openStore,
  parseJsonAs,
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
 * complete only when its export is. A retry writes the same bytes again.
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
    const standing = await findManifest(target);
    if (standing !== undefined && standing.run !== manifest.run) {
      throw new TrommelError(
        "conflict",
        `failed to export to ${config.export}: it holds the bundle of the run ${standing.run}. Empty it and resume ${manifest.run}, or train with another --output`,
        { context: { location: config.export, owner: standing.run } },
      );
    }
    for (const [name, bytes] of Object.entries(files)) {
      signal.throwIfAborted();
      await target.put(name, bytes);
    }
    await putJson(target, bundleFiles.manifest, manifest);
  } finally {
    target.close();
  }
}

async function findManifest(target: ObjectStore): Promise<BundleManifest | undefined> {
  if ((await target.head(bundleFiles.manifest)) === undefined) return undefined;
  const place = `${target.url}/${bundleFiles.manifest}`;
  return parseJsonAs(bundleManifest, await target.get(bundleFiles.manifest), place);
}
