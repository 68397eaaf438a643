import {
  bundleFiles,
  bundleManifest,
  openStore,
  parseJsonAs,
  resolveLocation,
  runKeys,
  TrommelError,
  type BundleManifest,
  type ObjectStore,
  type ScoreFormat,
} from "@trommel/common";
import { locationOf, readBounds } from "@trommel/common/store";

export interface ResolvedBundle {
  readonly location: string;
  readonly modelSha256: string;
  readonly labels: readonly string[];
  readonly manifest: BundleManifest;
  /** What its recipe has scorings write. */
  readonly formats: readonly ScoreFormat[];
}

/**
 * A model by run id or by the location of a bundle's folder.
 * @param folder the start of a relative path. @default the process's own
 * @param advice the sentence that says what to give instead. @default that of `--model`
 */
export async function resolveBundle(
  store: ObjectStore,
  model: string,
  folder?: string,
  advice = "Give --model a finished run's id or a bundle's folder",
): Promise<ResolvedBundle> {
  const isId = /^[a-z0-9][a-z0-9._-]{0,62}$/.test(model);
  if (isId && (await store.head(runKeys(model).config)) !== undefined) {
    const location = locationOf(store.url, runKeys(model).bundle);
    return readBundle(location, `run ${model} is not complete: see 'trommel status ${model}'`, advice);
  }
  const what = isId
    ? `there is no run ${model} in ${store.url}, and no bundle at that path`
    : "no bundle is there";
  return readBundle(resolveLocation(model, folder), what, advice);
}

async function readBundle(location: string, ifAbsent: string, advice: string): Promise<ResolvedBundle> {
  const store = openStore(location);
  try {
    const manifest = parseJsonAs(
      bundleManifest,
      await store.get(bundleFiles.manifest, readBounds.document),
      `${location}/bundle.json`,
    );
    const modelSha256 = manifest.hashes[bundleFiles.model];
    if (modelSha256 === undefined) {
      throw new TrommelError(
        "corrupt",
        `cannot read ${location}/bundle.json: it names no hash of model.onnx`,
      );
    }
    const { labels, recipe } = manifest;
    return { location, modelSha256, labels, manifest, formats: recipe.scores.formats };
  } catch (thrown) {
    if (!(thrown instanceof TrommelError) || thrown.code !== "not-found") throw thrown;
    throw new TrommelError("not-found", `cannot open the model ${location}: ${ifAbsent}. ${advice}`, {
      cause: thrown,
      context: { location },
    });
  } finally {
    store.close();
  }
}
