import { openStore, runKeys, type ObjectStore, type RunConfig } from "@trommel/common";
import {
  computeTuningPlan,
  labelLookup,
  readBackboneSpec,
  tuningRounds,
  untunedOf,
  type TuningRounds,
} from "@trommel/common/artefacts";
import { autoHeadOf, foldsOf, testShare } from "@trommel/common/recipe";
import { resolveLabels } from "../labels/resolve-labels.js";
import { KeyFilter } from "../listing/key-filter.js";

/** What a training would work on. */
export interface TrainingForecast {
  readonly id: string;
  /** Labelled images that the prefix lists now. */
  readonly images: number;
  readonly classes: number;
  /** Null if the recipe does not tune. */
  readonly tuning:
    | (TuningRounds & {
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
  if ((await store.head(runKeys(untunedOf(config) ?? "").split)) !== undefined)
    return { ...(await computeTuningPlan(store, config)).rounds, isEstimate: false };
  const folds = foldsOf(autoHeadOf(config));
  const tuned = Math.floor((images * (1 - (testShare(config.recipe.split) ?? 0)) * (folds - 1)) / folds);
  const network = await readBackboneSpec(store, backbone.id);
  return { ...tuningRounds(tune, tuned, network), isEstimate: true };
}
