import {
  featureShardKey,
  featureShardMarker,
  TrommelError,
  type FailedImage,
  type ObjectStore,
  type Shard,
} from "@trommel/common";
import { heldOutFoldOf, untunedOf, type FoldSplit } from "@trommel/common/artefacts";
import { readInputMarker } from "@trommel/common/codec";
import { divisionOf, readFoldSplit } from "../folding/fold-split.js";
import { readRunConfig, type ResolvedRun } from "../inputs/run.js";

/**
 * The images of a shard that the run without tuning could not read: they stay failed, for the same reasons. Undefined for a run that
 * does not tune.
 */
export async function failedBefore(
  store: ObjectStore,
  config: ResolvedRun,
  shard: Shard,
): Promise<readonly FailedImage[] | undefined> {
  const untuned = untunedOf(config);
  if (untuned === undefined) return undefined;
  const { fingerprint } = await readRunConfig(store, untuned);
  const key = featureShardKey(fingerprint, shard.hash);
  return (await readInputMarker(store, key, featureShardMarker)).failed;
}

/** @throws TrommelError `unavailable`, retryable, if an image has failed that the run without tuning has read */
export function refuseLost({ id }: ResolvedRun, failed: readonly FailedImage[]): void {
  const [first] = failed;
  if (first === undefined) return;
  throw new TrommelError(
    "unavailable",
    `cannot extract the tuned features of ${id}: ${JSON.stringify(first.key)} cannot be read any more (${first.reason}: ${first.detail}). Put it back, or train again under another id (--run)`,
    { context: { key: first.key, reason: first.reason } },
  );
}

/** The part of an image that is trained on and never predicted, in a run that holds a fold out: the other part is 0. */
const trainedPart = 1;

/**
 * The split of a run that tunes, from that of the run without tuning. If it holds a fold out, its heads predict the images of that fold,
 * and are trained on those that it was tuned on; otherwise it has the same folds, which other runs predict. It has one
 * division. Undefined for a run that does not tune.
 */
export async function tunedSplit(store: ObjectStore, config: ResolvedRun): Promise<FoldSplit | undefined> {
  const untuned = untunedOf(config);
  if (untuned === undefined) return undefined;
  const split = divisionOf(await readFoldSplit(store, untuned), 0);
  const heldOut = heldOutFoldOf(config);
  if (heldOut === null) return split;
  const partOf = (part: number): number => (part < 0 ? part : part === heldOut ? 0 : trainedPart);
  return { ...split, folds: 1, parts: split.parts.map((ofShard) => ofShard.map(partOf)) };
}
