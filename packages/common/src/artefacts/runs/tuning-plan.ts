import { z } from "zod";
import { readWithMarker, writeWithMarker } from "../../codec/marker.js";
import { jsonFile } from "../../codec/json-artefact.js";
import { parseSealedAs } from "../../codec/sealed-json.js";
import { unlessMissing, type ReadArtefact } from "../../codec/stage-input.js";
import { TrommelError } from "../../errors.js";
import { parseJsonAs } from "../../parse.js";
import type { ObjectStore } from "../../store/object-store.js";
import { readBounds } from "../../store/read-bounds.js";
import { backboneSpec, type BackboneSpec } from "../backbones/backbone-spec.js";
import type { FoldSplit } from "../shards/listing.js";
import { readSplit } from "../shards/find-shard.js";
import { backboneKeys, runKeys } from "../store-keys.js";
import { heldOutFoldOf, runConfig, untunedOf, type RunConfig } from "./run.js";
import { lastCheckpointOf, refuseOtherDivision, tuningOrigin, type TuningOrigin } from "./tuning-origin.js";
import { roundNumbers, tuningRounds } from "./tuning-rounds.js";

/** `tuning/plan.json`: the numbers that the rounds of a run go by, from the images that the run without tuning has divided. */
export const tuningPlan = z
  .object({
    formatVersion: z.literal(1),
    /** Folds of the run without tuning. */
    folds: z.int().positive(),
    /** The one that is never tuned on; null if all are. */
    heldOutFold: z.int().nonnegative().nullable(),
    /** Its images, which measure every round. */
    heldOutImages: z.int().nonnegative(),
    rounds: roundNumbers,
    /** What the first round begins with; null if that is the backbone as it was imported. Plans of earlier versions do not have it. */
    from: tuningOrigin.nullable().default(null),
  })
  .strict();
export type TuningPlan = z.infer<typeof tuningPlan>;

/**
 * @param read how it is read; stages read it as `readInput` does
 * @throws TrommelError `missing-input` before it is written
 */
export async function readTuningPlan(
  store: ObjectStore,
  id: string,
  read: ReadArtefact = readWithMarker,
): Promise<TuningPlan> {
  const { plan } = runKeys(id).tuning;
  return parseJsonAs(tuningPlan, (await read(store, plan)).bytes, plan);
}

/** Undefined before it is written. */
export async function findTuningPlan(store: ObjectStore, id: string): Promise<TuningPlan | undefined> {
  // Its marker is read once: who waits for a round asks several times in a second.
  return unlessMissing(readTuningPlan(store, id));
}

/**
 * Writes the plan of a run that tunes, once the run that it follows has divided its images. Every writer writes the same.
 * @throws TrommelError `not-found` before that; as `tuningRounds` does, and `refuseOtherDivision` for a run that continues from another
 */
export async function writeTuningPlan(store: ObjectStore, config: RunConfig): Promise<TuningPlan> {
  const plan = await computeTuningPlan(store, config);
  await writeWithMarker(store, runKeys(config.id).tuning.plan, jsonFile(plan));
  return plan;
}

/** The plan before it is written. @throws TrommelError as {@link writeTuningPlan} does */
export async function computeTuningPlan(store: ObjectStore, config: RunConfig): Promise<TuningPlan> {
  const { tune } = config.recipe;
  const [backbone] = config.backbones;
  const untuned = untunedOf(config);
  if (tune === null || untuned === undefined || backbone === undefined)
    throw new TrommelError("internal", `cannot plan the tuning of ${config.id}: its recipe tunes nothing`);
  const split = await readSplit(store, untuned);
  const { folds } = split;
  if (tune.folds > 1 && folds !== tune.folds) throw tooFewFolds(config.id, tune.folds, { untuned, folds });
  const heldOutFold = heldOutFoldOf(config);
  const { images, heldOutImages } = countImages(split, heldOutFold);
  const rounds = tuningRounds(tune, images, await readBackboneSpec(store, backbone.id));
  const from = tune.from === null ? null : await originOf(store, { id: config.id, untuned, from: tune.from });
  return { formatVersion: 1, folds, heldOutFold, heldOutImages, rounds, from };
}

/** @throws TrommelError as `refuseOtherDivision` and `lastCheckpointOf` do */
async function originOf(
  store: ObjectStore,
  { id, untuned, from }: { readonly id: string; readonly untuned: string; readonly from: string },
): Promise<TuningOrigin> {
  const { config: key } = runKeys(from);
  const other = parseSealedAs(runConfig, await store.get(key, readBounds.document), key);
  const before = (await findTuningPlan(store, from))?.from?.epochs ?? 0;
  const origin = await lastCheckpointOf(store, from, before);
  await refuseOtherDivision(store, { id, untuned, from, fromUntuned: untunedOf(other) ?? from });
  return origin;
}

function countImages(
  { parts }: FoldSplit,
  heldOutFold: number | null,
): { readonly images: number; readonly heldOutImages: number } {
  let [images, heldOutImages] = [0, 0];
  for (const ofShard of parts)
    for (const part of ofShard)
      if (part === heldOutFold) heldOutImages += 1;
      else if (part >= 0) images += 1;
  return { images, heldOutImages };
}

/** A class with few images is divided into fewer folds. */
function tooFewFolds(
  id: string,
  asked: number,
  { untuned, folds }: { readonly untuned: string; readonly folds: number },
): TrommelError {
  return new TrommelError(
    "bad-dataset",
    `cannot tune ${id} for ${asked} folds: ${untuned} has only ${folds}, because a class has too few images that can be divided. Set tune.folds to ${folds} under another id (--run), or add images of that class`,
    { context: { folds, asked } },
  );
}

/** The spec of a backbone of the store by its id. */
export async function readBackboneSpec(store: ObjectStore, id: string): Promise<BackboneSpec> {
  const { spec } = backboneKeys(id);
  return parseJsonAs(backboneSpec, await store.get(spec, readBounds.document), spec);
}
