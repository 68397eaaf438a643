import { bundleFiles, claimExport, openStore, type BundleManifest, type RunConfig } from "@trommel/common";
import { jsonFile, putJson } from "@trommel/common/codec";

/**
 * Copies a bundle to where the run exports it: a folder or bucket that need not be the store's.
 *
 * Data first, `bundle.json` last: with it the copy is whole. It comes before the store's own `bundle.json`, so a run is
 * complete only when its export is. A retry writes the same bytes again. `_trommel/run.json` names the run that it belongs to.
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
    // The command has done so; the place may have been emptied meanwhile.
    await claimExport(target, config);
    for (const [name, bytes] of Object.entries(files)) {
      signal.throwIfAborted();
      await target.put(name, bytes);
    }
    await putJson(target, bundleFiles.manifest, jsonFile(manifest));
  } finally {
    target.close();
  }
}
