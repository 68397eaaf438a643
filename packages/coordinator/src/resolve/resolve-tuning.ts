import {
  backboneId,
  backboneKeys,
  backboneName,
  canonicalJson,
  checkRunId,
  runConfig,
  runKeys,
  TrommelError,
  type BackboneSpec,
  type ObjectStore,
  type RunConfig,
} from "@trommel/common";
import {
  foldRunsOf,
  heldOutFoldOf,
  layersOfModel,
  networkRunsOf,
  refuseUntunable,
  runId,
  trainedLayers,
  untunedOf,
  type NetworkLayer,
} from "@trommel/common/artefacts";
import { parseSealedAs } from "@trommel/common/codec";
import { readBounds, readIfThere } from "@trommel/common/store";

/**
 * The runs that come with a run that tunes, without the location that the bundle is copied to: the run without tuning that it follows,
 * the same but for its recipe's `tune`, and for each of several folds one that tunes without it. None for a run that does not tune.
 * @throws TrommelError `invalid-argument` for an id that is too long for what tuning adds to it
 */
export function companionConfigs(config: RunConfig): RunConfig[] {
  const untuned = untunedOf(config);
  if (untuned === undefined) return [];
  const recipe = { ...config.recipe, tune: null };
  return [
    { ...config, id: checkRunId(untuned), recipe, export: null },
    ...foldRunsOf(config).map((id, fold) => ({
      ...{ ...config, id: checkRunId(id), export: null },
      foldOf: { run: config.id, fold },
    })),
  ];
}

/**
 * Refuses what cannot be tuned before anything is queued.
 * @throws TrommelError `unsupported` for a backbone without layers, or with one that has no gradient, `not-found` for a block or a run to continue from that does
 *   not exist, `invalid-argument` for a name that is too long, or a run to continue from that divides its images or trains its network
 *   otherwise
 */
export async function checkTuning(
  store: ObjectStore,
  config: RunConfig,
  specs: readonly BackboneSpec[],
): Promise<void> {
  const { tune } = config.recipe;
  const [spec] = specs;
  if (tune === null || spec === undefined) return;
  const { kind } = spec.source;
  if (kind === "onnx" || kind === "int8")
    throw new TrommelError(
      "unsupported",
      `cannot tune the backbone ${backboneId(spec)}: it was imported from ${kind === "onnx" ? "ONNX" : "an int8 copy"} and has no layers. Name one that was imported as a layers model or with --arch, or leave --tune out`,
    );
  const { layersModel } = backboneKeys(backboneId(spec));
  const layers = layersOfModel(await store.get(layersModel, readBounds.document), layersModel);
  refuseUntunable(backboneId(spec), layers, trainedLayers(layers, tune).trained);
  const name = `${spec.name}-${foldRunsOf(config).at(-1) ?? config.id}`;
  if (!backboneName.safeParse(name).success)
    throw new TrommelError(
      "invalid-argument",
      `cannot call the tuned backbone ${name}: a name has at most 63 characters. Give the run a shorter id with --run`,
    );
  if (tune.from === null) return;
  const other = await findOrigin(store, tune.from);
  refuseOtherImages(config, other);
  refuseOtherNetwork(config, other, layers);
}

async function findOrigin(store: ObjectStore, from: string): Promise<RunConfig> {
  const key = runKeys(from).config;
  // What is no id is the id of no run, and no key that a store has to take.
  const body = runId.safeParse(from).success ? await readIfThere(store, key) : undefined;
  const other = body === undefined ? undefined : parseSealedAs(runConfig, body, key);
  if (other === undefined || other.recipe.tune === null)
    throw new TrommelError(
      "not-found",
      `cannot continue from ${from}: ${store.url} has no run of that id that tuned a backbone. Correct tune.from, or leave it out`,
    );
  if (networkRunsOf(other).length > 0)
    throw new TrommelError(
      "invalid-argument",
      `cannot continue from ${from}: it takes the networks of its folds and has tuned none of its own. Name a run that tuned one network in tune.from, or leave it out`,
    );
  return other;
}

/** What the other run has learned from must be what this one may learn from. */
function refuseOtherImages(config: RunConfig, other: RunConfig): void {
  const dividing = (of: RunConfig): Record<string, unknown> => {
    const { dataset, labels, divisionSha256, backbones, recipe } = of;
    return {
      ...{ dataset, labels, divisionSha256: divisionSha256 ?? null, backbones },
      ...{ seed: recipe.seed, split: recipe.split, include: recipe.include, exclude: recipe.exclude },
      folds: recipe.head.type === "auto" ? [recipe.head.folds, recipe.head.effort] : null,
      "the fold that is held out": heldOutFoldOf(of),
    };
  };
  const [here, there] = [dividing(config), dividing(other)];
  const differing = Object.keys(here).filter(
    (field) => canonicalJson(here[field]) !== canonicalJson(there[field]),
  );
  if (differing.length === 0) return;
  throw new TrommelError(
    "invalid-argument",
    `cannot continue from ${other.id}: it differs in ${differing.join(", ")}, so that it may have learned from images that are held out here. Make them equal, or leave tune.from out`,
    { context: { from: other.id, fields: differing } },
  );
}

/**
 * A checkpoint has the layers that its run trained. The others of that network are those of the backbone as it was imported, and have
 * never been together with the weights of a run that trained other layers, or normalised otherwise.
 */
function refuseOtherNetwork(config: RunConfig, other: RunConfig, layers: readonly NetworkLayer[]): void {
  const trained = ({ recipe: { tune } }: RunConfig): string =>
    tune === null ? "" : [...trainedLayers(layers, tune).trained].join();
  const isAlike = (field: "norm" | "gate"): boolean =>
    canonicalJson(config.recipe.tune?.[field]) === canonicalJson(other.recipe.tune?.[field]);
  const differing = [
    ...(trained(config) === trained(other) ? [] : ["tune.blocks"]),
    ...(["norm", "gate"] as const).filter((field) => !isAlike(field)).map((field) => `tune.${field}`),
  ];
  if (differing.length === 0) return;
  throw new TrommelError(
    "invalid-argument",
    `cannot continue from ${other.id}: it differs in ${differing.join(" and ")}, and its checkpoints are of another network. Make them equal, or leave tune.from out`,
    { context: { from: other.id, fields: differing } },
  );
}
