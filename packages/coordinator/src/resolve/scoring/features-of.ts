import {
  canonicalJson,
  runConfig,
  runKeys,
  TrommelError,
  type BundleManifest,
  type ObjectStore,
  type RunConfig,
} from "@trommel/common";
import {
  decodeVersion,
  findListing,
  readBackboneSpec,
  resolveRunFeatures,
  type ResolvedRun,
} from "@trommel/common/artefacts";
import { parseSealedAs } from "@trommel/common/codec";
import { servedFlips } from "@trommel/common/recipe";
import { readIfThere } from "@trommel/common/store";

/**
 * The run whose stored features are scored instead of pictures.
 * @throws TrommelError `not-found` for the run, `conflict` where it is not listed to its end or retries another, `invalid-argument` where
 *   its features are not those that the model takes
 */
export async function resolveFeaturesOf(
  store: ObjectStore,
  id: string,
  model: BundleManifest,
): Promise<ResolvedRun> {
  const key = runKeys(id).config;
  const body = await readIfThere(store, key);
  if (body === undefined) {
    throw new TrommelError(
      "not-found",
      `cannot score the features of ${id}: there is no such run in ${store.url}. Give --features-of the id of a run; a scoring stores no features`,
      { context: { id } },
    );
  }
  const config = parseSealedAs(runConfig, body, key);
  await requireWhole(store, config);
  const run = await resolveRunFeatures(store, config);
  const differing = await whatDiffers(store, run, model);
  if (differing === undefined) return run;
  throw new TrommelError(
    "invalid-argument",
    `cannot score the features of ${id} with the model of ${model.run}: ${differing}. Score the pictures instead (trommel score ${config.dataset})`,
    { context: { id, model: model.run } },
  );
}

async function requireWhole(store: ObjectStore, { id, retryOf }: RunConfig): Promise<void> {
  const listing = await findListing(store, runKeys(id).listing);
  const why =
    retryOf !== undefined
      ? `it tries failed pictures of ${retryOf.run} again, and has rows of two runs. Score the pictures instead`
      : listing === undefined
        ? `its listing is not complete. Resume it first ('trommel resume ${id}')`
        : undefined;
  if (why === undefined) return;
  throw new TrommelError("conflict", `cannot score the features of ${id}: ${why}`, { context: { id } });
}

/** Why the features of a run are not what a model takes; undefined if they are. */
async function whatDiffers(
  store: ObjectStore,
  { backbones, normalization, recipe, side }: ResolvedRun,
  model: BundleManifest,
): Promise<string | undefined> {
  const names = (of: readonly { readonly hash: string }[]): string =>
    of.map(({ hash }) => hash.slice(0, 12)).join(", ");
  if (names(backbones) !== names(model.backbones))
    return `the features are of the backbones ${names(backbones)}, and the model has ${names(model.backbones)}`;
  const figures = await Promise.all(
    backbones.map(async (one) => normalization ?? (await readBackboneSpec(store, one.id)).normalization),
  );
  const pixels = {
    "side of the picture": [side, model.input.side],
    decoding: [recipe.decode, model.input.decode],
    "version of decoding": [decodeVersion, model.input.decodeVersion],
    precision: [recipe.precision, model.recipe.precision],
    normalisation: [figures, model.backbones.map((spec) => spec.normalization)],
  };
  for (const [what, [stored, taken]] of Object.entries(pixels)) {
    const [found, wanted] = [canonicalJson(comparable(stored)), canonicalJson(comparable(taken))];
    if (found !== wanted) return `their ${what} differs: ${found} and ${wanted}`;
  }
  const flips = servedFlips(model.recipe);
  const stored = recipe.views.flips.slice(0, flips.length);
  if (canonicalJson(stored) === canonicalJson(flips)) return undefined;
  return `the model averages the picture and its flips ${flips.join(", ")}, and the features have ${recipe.views.flips.join(", ") || "no flips"}`;
}

/** A recipe may say `auto` for the side, which is compared as a number. */
function comparable(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return { ...value, side: null };
}
