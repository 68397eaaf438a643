import { TrommelError } from "../../errors.js";
import { parseSealedAs } from "../../codec/sealed-json.js";
import { parseJsonAs } from "../../parse.js";
import type { ObjectStore } from "../../store/object-store.js";
import { readBounds } from "../../store/read-bounds.js";
import { backboneSpec, type BackboneSpec } from "../backbones/backbone-spec.js";
import { foldSplit, type FoldSplit } from "../shards/listing.js";
import { backboneKeys, runKeys } from "../store-keys.js";
import { untunedOf, type RunConfig } from "./run.js";
import { tuningRounds, type TuningRounds } from "./tuning-rounds.js";

/** The fold of the run without tuning that tuning never sees: it chooses the head and the temperature afterwards. */
export const heldOutFold = 0;

/** What the rounds of a run depend on. */
export interface TuningBasis {
  /** The split of the run without tuning. */
  readonly split: FoldSplit;
  /** The backbone as it was before. */
  readonly spec: BackboneSpec;
  readonly rounds: TuningRounds;
}

/**
 * The rounds of a run that tunes, once the run that it follows has divided its images.
 * @throws TrommelError `not-found` before that; as `tuningRounds` does
 */
export async function readTuningBasis(store: ObjectStore, config: RunConfig): Promise<TuningBasis> {
  const { tune } = config.recipe;
  const [backbone] = config.backbones;
  const untuned = untunedOf(config);
  if (tune === null || untuned === undefined || backbone === undefined)
    throw new TrommelError("internal", `cannot find the rounds of ${config.id}: its recipe tunes nothing`);
  const splitKey = runKeys(untuned).split;
  const split = parseSealedAs(foldSplit, await store.get(splitKey, readBounds.dataset), splitKey);
  const specKey = backboneKeys(backbone.id).spec;
  const spec = parseJsonAs(backboneSpec, await store.get(specKey, readBounds.document), specKey);
  let images = 0;
  for (const parts of split.parts) for (const part of parts) if (part > heldOutFold) images += 1;
  return { split, spec, rounds: tuningRounds(tune, images, spec) };
}
