import { z } from "zod";
import { findMarker } from "../../codec/marker.js";
import { TrommelError } from "../../errors.js";
import type { ObjectStore } from "../../store/object-store.js";
import { sha256 } from "../backbones/backbone-spec.js";
import { findShard, readSplit } from "../shards/find-shard.js";
import { runId, runKeys } from "../store-keys.js";
import { readRoundFigures } from "./tuning-figures.js";

/**
 * The checkpoint of another run that the first round begins with. It is fixed once, because that run may be resumed: all jobs of a run
 * begin with the same weights.
 */
export const tuningOrigin = z
  .object({
    run: runId,
    /** The round, from 0, whose checkpoint it is. */
    round: z.int().nonnegative(),
    /** The checkpoint's. */
    sha256,
    /** Epochs that its network has seen, those of the runs before it included: views and orders begin after them. */
    epochs: z.int().positive(),
  })
  .strict();
export type TuningOrigin = z.infer<typeof tuningOrigin>;

/**
 * The last checkpoint of a run.
 * @param epochsBefore those that it began after itself
 * @throws TrommelError `not-found` if no round of it is merged
 */
export async function lastCheckpointOf(
  store: ObjectStore,
  run: string,
  epochsBefore: number,
): Promise<TuningOrigin> {
  const last = (await readRoundFigures(store, run)).at(-1);
  const marker =
    last === undefined ? undefined : await findMarker(store, runKeys(run).tuning.checkpoint(last.round + 1));
  if (last === undefined || marker === undefined)
    throw new TrommelError(
      "not-found",
      `cannot continue from ${run}: it has no ${last === undefined ? "round" : "checkpoint"} of tuning in ${store.url}. Resume that run, correct tune.from, or leave it out`,
    );
  return { run, round: last.round, sha256: marker.sha256, epochs: epochsBefore + last.epoch };
}

/**
 * Compares the images and parts of two runs without tuning. With equal recipes the parts differ once the prefix has changed.
 * @param id the run that continues @param from the run that it continues from
 * @throws TrommelError `invalid-argument` if an image differs, or its part
 */
export async function refuseOtherDivision(
  store: ObjectStore,
  runs: {
    readonly id: string;
    readonly untuned: string;
    readonly from: string;
    readonly fromUntuned: string;
  },
): Promise<void> {
  const { id, untuned, from, fromUntuned } = runs;
  const theirs = dividedImages(store, fromUntuned);
  let isEqual = true;
  for await (const own of dividedImages(store, untuned)) {
    const { value: other } = await theirs.next();
    isEqual &&= other === own;
    if (!isEqual) break;
  }
  isEqual &&= (await theirs.next()).done === true;
  await theirs.return(undefined);
  if (isEqual) return;
  throw new TrommelError(
    "invalid-argument",
    `cannot let ${id} continue from ${from}: ${untuned} has other images than ${fromUntuned}, or divides them otherwise, so that ${from} may have learned from images that are held out here. Leave tune.from out`,
    { context: { from } },
  );
}

/** Each image with its part, as a text. */
async function* dividedImages(store: ObjectStore, run: string): AsyncGenerator<string, undefined> {
  const keys = runKeys(run);
  const { parts } = await readSplit(store, run);
  for (const [index, ofShard] of parts.entries()) {
    const { entries = [] } = (await findShard(store, keys.shard(index))) ?? {};
    for (const [position, part] of ofShard.entries()) yield JSON.stringify([entries[position], part]);
  }
  return undefined;
}
