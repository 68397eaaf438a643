import { z } from "zod";
import { findMarker, readWithMarker, writeWithMarker } from "../../codec/marker.js";
import { jsonFile } from "../../codec/json-artefact.js";
import { parseSealedAs } from "../../codec/sealed-json.js";
import { TrommelError } from "../../errors.js";
import { parseJsonAs } from "../../parse.js";
import type { ObjectStore } from "../../store/object-store.js";
import { readBounds } from "../../store/read-bounds.js";
import { backboneSpec, type BackboneSpec } from "../backbones/backbone-spec.js";
import { foldSplit, type FoldSplit } from "../shards/listing.js";
import { backboneKeys, runKeys } from "../store-keys.js";
import { untunedOf, type RunConfig } from "./run.js";
import { roundNumbers, tuningRounds } from "./tuning-rounds.js";

/** The fold of the run without tuning that tuning never sees: it chooses the head and the temperature afterwards. */
export const heldOutFold = 0;

/** `tuning/plan.json`: the numbers that the rounds of a run go by, from the images that the run without tuning has divided. */
export const tuningPlan = z
  .object({
    formatVersion: z.literal(1),
    /** Folds of the run without tuning. */
    folds: z.int().positive(),
    /** Images that are never tuned on, and measure every round. */
    heldOutImages: z.int().nonnegative(),
    rounds: roundNumbers,
  })
  .strict();
export type TuningPlan = z.infer<typeof tuningPlan>;

type Read = (store: ObjectStore, key: string) => Promise<{ readonly bytes: Uint8Array }>;

/**
 * @param read how it is read; stages read it as `readInput` does
 * @throws TrommelError `missing-input` before it is written
 */
export async function readTuningPlan(
  store: ObjectStore,
  id: string,
  read: Read = readWithMarker,
): Promise<TuningPlan> {
  const { plan } = runKeys(id).tuning;
  return parseJsonAs(tuningPlan, (await read(store, plan)).bytes, plan);
}

/** Undefined before it is written. */
export async function findTuningPlan(store: ObjectStore, id: string): Promise<TuningPlan | undefined> {
  const isThere = (await findMarker(store, runKeys(id).tuning.plan)) !== undefined;
  return isThere ? readTuningPlan(store, id) : undefined;
}

/**
 * Writes the plan of a run that tunes, once the run that it follows has divided its images. Every writer writes the same.
 * @throws TrommelError `not-found` before that; as `tuningRounds` does
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
  const splitKey = runKeys(untuned).split;
  const split = parseSealedAs(foldSplit, await store.get(splitKey, readBounds.dataset), splitKey);
  const { images, heldOutImages } = countImages(split);
  const rounds = tuningRounds(tune, images, await readBackboneSpec(store, backbone.id));
  return { formatVersion: 1, folds: split.folds, heldOutImages, rounds };
}

function countImages({ parts }: FoldSplit): { readonly images: number; readonly heldOutImages: number } {
  let [images, heldOutImages] = [0, 0];
  for (const ofShard of parts)
    for (const part of ofShard)
      if (part === heldOutFold) heldOutImages += 1;
      else if (part >= 0) images += 1;
  return { images, heldOutImages };
}

/** The spec of a backbone of the store by its id. */
export async function readBackboneSpec(store: ObjectStore, id: string): Promise<BackboneSpec> {
  const { spec } = backboneKeys(id);
  return parseJsonAs(backboneSpec, await store.get(spec, readBounds.document), spec);
}
