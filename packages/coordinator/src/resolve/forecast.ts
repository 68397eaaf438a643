import { openStore, runKeys, type ObjectStore, type RunConfig } from "@trommel/common";
import {
  computeTuningPlan,
  foldRunsOf,
  labelLookup,
  readBackboneSpec,
  tuningRounds,
  untunedOf,
  type TuningRounds,
} from "@trommel/common/artefacts";
import { autoHeadOf, foldsOf, testShare } from "@trommel/common/recipe";
import { resolveLabels } from "../labels/resolve-labels.js";
import { KeyFilter } from "../listing/key-filter.js";
import { companionConfigs } from "./resolve-tuning.js";

/** What a training would work on. */
export interface TrainingForecast {
  readonly id: string;
  /** Labelled images that the prefix lists now. */
  readonly images: number;
  readonly classes: number;
  /** Null if the recipe does not tune. */
  readonly tuning:
    | (TuningRounds & {
        /** The networks of the folds, each without one of them, and the rounds of one; null if there is one network. */
        readonly folds: { readonly networks: number; readonly rounds: TuningRounds } | null;
        /** False once the run without tuning has divided the images; before that the number of images comes from the shares. */
        readonly isEstimate: boolean;
      })
    | null;
}

/**
 * What a resolved run would work on, by one listing of its prefix. Nothing is written.
 * @throws TrommelError as `tuningRounds` does if a batch is larger than a replica's part
 */
export async function forecastRun(store: ObjectStore, config: RunConfig): Promise<TrainingForecast> {
  const { id, dataset, recipe } = config;
  const { table } = await resolveLabels(dataset, recipe);
  const labelOf = labelLookup(table);
  const filter = new KeyFilter(recipe);
  const classes = new Set<string>();
  let images = 0;
  const source = openStore(dataset);
  try {
    for await (const { key } of source.list("")) {
      const label = filter.skip(key) === undefined ? labelOf(key) : undefined;
      if (label === undefined) continue;
      images += 1;
      classes.add(label);
    }
  } finally {
    source.close();
  }
  return { id, images, classes: classes.size, tuning: await forecastTuning(store, config, images) };
}

async function forecastTuning(
  store: ObjectStore,
  config: RunConfig,
  images: number,
): Promise<TrainingForecast["tuning"]> {
  const { tune } = config.recipe;
  const [backbone] = config.backbones;
  if (tune === null || backbone === undefined) return null;
  const networks = foldRunsOf(config).length;
  if ((await store.head(runKeys(untunedOf(config) ?? "").split)) !== undefined) {
    const roundsOf = async (of: RunConfig): Promise<TuningRounds> =>
      (await computeTuningPlan(store, of)).rounds;
    const [, ofFold] = companionConfigs(config);
    const folds = ofFold === undefined ? null : { networks, rounds: await roundsOf(ofFold) };
    return { ...(await roundsOf(config)), folds, isEstimate: false };
  }
  const parts = foldsOf(autoHeadOf(config));
  const network = await readBackboneSpec(store, backbone.id);
  const roundsOn = (share: number): TuningRounds =>
    tuningRounds(tune, Math.floor(images * (1 - (testShare(config.recipe.split) ?? 0)) * share), network);
  const ofFold = roundsOn((parts - 1) / parts);
  return networks === 0
    ? { ...ofFold, folds: null, isEstimate: true }
    : { ...roundsOn(1), folds: { networks, rounds: ofFold }, isEstimate: true };
}
