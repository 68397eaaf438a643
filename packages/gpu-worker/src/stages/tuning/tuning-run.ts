import { runKeys, TrommelError, type BackboneSpec, type ObjectStore, type RunConfig } from "@trommel/common";
import {
  readBackboneSpec,
  readTuningPlan,
  untunedOf,
  type TuningPlan,
  type TuningRounds,
} from "@trommel/common/artefacts";
import { readInput } from "@trommel/common/codec";
import type { TuneRecipe } from "@trommel/common/recipe";
import { readListing } from "../inputs/listing.js";
import { readRunConfig, readUnresolvedConfig, type ResolvedRun } from "../inputs/run.js";

/** What the jobs of a run's tuning start from, besides its images. */
export interface TuningRun {
  readonly config: RunConfig;
  readonly tune: TuneRecipe;
  /** The run without tuning, with what the pixels are normalised by. */
  readonly untuned: ResolvedRun;
  /** The backbone as it was before. */
  readonly spec: BackboneSpec;
  readonly plan: TuningPlan;
  /** Those of the plan. */
  readonly rounds: TuningRounds;
  readonly classNames: readonly string[];
}

/**
 * Reads the tuning of a run, in a time that does not depend on the number of its images.
 * @throws TrommelError `missing-input` before the run without tuning is complete
 */
export async function readTuningRun(store: ObjectStore, id: string): Promise<TuningRun> {
  const config = await readUnresolvedConfig(store, id);
  const { tune } = config.recipe;
  const untunedId = untunedOf(config);
  const [backbone] = config.backbones;
  if (tune === null || untunedId === undefined || backbone === undefined)
    throw new TrommelError("internal", `cannot tune ${id}: its recipe tunes nothing`);
  const untuned = await readRunConfig(store, untunedId);
  const plan = await readTuningPlan(store, id, readInput);
  const spec = await readBackboneSpec(store, backbone.id);
  const { classes = [] } = await readListing(store, runKeys(untunedId).listing);
  const classNames = classes.map(({ label }) => label);
  return { config, tune, untuned, spec, plan, rounds: plan.rounds, classNames };
}

/** The backbone's spec with the normalisation that the run uses it with. */
export function specInUse({ spec, untuned }: Pick<TuningRun, "spec" | "untuned">): BackboneSpec {
  return untuned.normalization === null ? spec : { ...spec, normalization: untuned.normalization };
}
