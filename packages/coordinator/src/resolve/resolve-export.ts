import {
  bundleFiles,
  bundleManifest,
  canonicalJson,
  claimExport,
  openStore,
  parseJsonAs,
  resolveLocation,
  toTrommelError,
  TrommelError,
  type RunConfig,
} from "@trommel/common";
import { partInside, readIfThere } from "@trommel/common/store";
import { checkWritable } from "./check-writable.js";
import { whyStoreItself } from "./inside-store.js";

/**
 * The location that a run's bundle is copied to.
 * @returns the absolute location, null if the bundle is not copied
 * @throws TrommelError `invalid-argument` for the store's own root or folders, or a location inside the dataset
 */
export function resolveExport(options: {
  readonly output: string | undefined;
  readonly dataset: string;
  readonly storeUrl: string;
}): string | null {
  if (options.output === undefined) return null;
  const location = resolveLocation(options.output);
  const refused = (why: string): TrommelError =>
    new TrommelError("invalid-argument", `cannot export to ${location}: ${why}. Choose another --output`, {
      context: { location },
    });
  const inStore = whyStoreItself(location, options.storeUrl);
  if (inStore !== undefined) throw refused(inStore);
  if (partInside(options.dataset, location) !== undefined)
    throw refused("it is inside the dataset, whose listing would hold the bundle's files");
  return location;
}

/** Called before a run is written, so that a location without write access is refused at once. @throws TrommelError `conflict` */
export async function takeExport(config: RunConfig): Promise<void> {
  if (config.export === null) return;
  const target = openStore(config.export);
  try {
    await claimExport(target, config);
  } catch (thrown) {
    const error = toTrommelError(thrown);
    if (error.code === "conflict" && error.context["key"] !== undefined) throw error;
    throw new TrommelError(
      error.code,
      `cannot export to ${config.export}: ${error.message}. Give --output a folder or prefix that can be written`,
      { cause: thrown, context: { location: config.export } },
    );
  } finally {
    target.close();
  }
}

/**
 * Refuses a location that holds another run's bundle, before anything starts.
 * @throws TrommelError `conflict`
 */
export async function checkExport(config: RunConfig): Promise<void> {
  if (config.export === null) return;
  await checkWritable(config.export, "--output");
  const target = openStore(config.export);
  try {
    const body = await readIfThere(target, bundleFiles.manifest);
    if (body === undefined) return;
    const owner = parseJsonAs(bundleManifest, body, `${config.export}/${bundleFiles.manifest}`);
    if (owner.run === config.id && canonicalJson(owner.recipe) === canonicalJson(config.recipe)) return;
    throw new TrommelError(
      "conflict",
      `cannot export to ${config.export}: it holds the bundle of another run, ${owner.run} (recipe ${owner.recipe.name}). Choose another --output`,
      { context: { location: config.export, owner: owner.run } },
    );
  } finally {
    target.close();
  }
}
