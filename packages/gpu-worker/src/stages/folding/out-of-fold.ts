import { runKeys, TrommelError, type RunConfig } from "@trommel/common";
import {
  decodeFoldResult,
  foldRunsOf,
  foldUnits,
  unitsOf,
  variantsOf,
  type FoldSplit,
  type FoldUnit,
  type PredictedImages,
} from "@trommel/common/artefacts";
import { readInput } from "@trommel/common/codec";
import { candidatesOf, type AutoHead, type CandidateRecipe } from "@trommel/common/recipe";
import type { StageContext } from "../context.js";

/** A choice: a candidate and one of its variants, with what was predicted of every image by heads that never saw it. */
export interface OutOfFold {
  readonly candidate: CandidateRecipe;
  /** Its place among the candidates, and the variant's among its own. */
  readonly at: { readonly candidate: number; readonly variant: number };
  /** The L2 penalty of a linear candidate. */
  readonly penalty: number | null;
  /** [images, classes], in listing order. */
  readonly logits: Float64Array;
  /** The same of the image alone, where the others are averaged with flips of it. */
  readonly alone: Float64Array | undefined;
}

/** The images of all folds in listing order. */
export interface FoldedImages {
  readonly shard: Int32Array;
  readonly position: Int32Array;
  readonly fold: Int32Array;
}

/** Out-of-fold predictions of every candidate and variant, simplest first. @throws TrommelError `missing-input` */
export async function readOutOfFold(
  config: RunConfig,
  head: AutoHead,
  split: FoldSplit,
  context: StageContext,
): Promise<{ readonly images: FoldedImages; readonly choices: readonly OutOfFold[] }> {
  const choices: OutOfFold[] = [];
  let images: FoldedImages | undefined;
  for (const [index, candidate] of candidatesOf(head).entries()) {
    const results = await readHeldOut(jobsOf(config, head, split, index), context);
    images ??= foldedImages(results);
    for (const [variant, penalty] of variantsOf(candidate).entries()) {
      const logits = inListingOrder(images, results, ({ logits: found }) => found[variant]);
      const alone = results.every((result) => result.alone !== undefined)
        ? inListingOrder(images, results, (result) => result.alone?.[variant])
        : undefined;
      choices.push({ candidate, at: { candidate: index, variant }, penalty, logits, alone });
    }
  }
  if (images === undefined)
    throw new TrommelError("internal", `cannot choose for ${config.id}: it has no candidate`);
  return { images, choices };
}

/** Out-of-fold predictions of the learning curve's candidate at a share of the images, by variant. */
export async function readCurvePoint(
  config: RunConfig,
  units: readonly FoldUnit[],
  point: { readonly candidate: number; readonly share: number; readonly variant: number },
  context: StageContext,
): Promise<Float64Array> {
  const jobs = unitsOf(units, point.candidate, point.share).map((job) => ({ run: config.id, job }));
  const results = await readHeldOut(jobs, context);
  return inListingOrder(foldedImages(results), results, ({ logits }) => logits[point.variant]);
}

interface FoldJob {
  readonly run: string;
  readonly job: number;
}

/** The jobs that predicted the folds with a candidate, by fold: the run's own, or those of the runs that tuned a network for each fold. */
function jobsOf(config: RunConfig, head: AutoHead, { folds }: FoldSplit, candidate: number): FoldJob[] {
  const foldRuns = foldRunsOf(config);
  const of = (run: string, units: readonly FoldUnit[]): FoldJob[] =>
    unitsOf(units, candidate, 1).map((job) => ({ run, job }));
  if (foldRuns.length === 0) return of(config.id, foldUnits(head, folds));
  return foldRuns.flatMap((run) => of(run, foldUnits(head, 1)));
}

async function readHeldOut(
  jobs: readonly FoldJob[],
  { store, signal }: StageContext,
): Promise<PredictedImages[]> {
  const results: PredictedImages[] = [];
  for (const { run, job } of jobs) {
    signal.throwIfAborted();
    const key = runKeys(run).fold(job);
    results.push(decodeFoldResult((await readInput(store, key)).bytes, key).heldOut);
  }
  return results;
}

/** @param results by fold */
function foldedImages(results: readonly PredictedImages[]): FoldedImages {
  const rows = results.flatMap(({ shard, position }, fold) =>
    [...shard].map((of, row) => ({ shard: of, position: position[row] as number, fold })),
  );
  rows.sort((a, b) => a.shard - b.shard || a.position - b.position);
  return {
    shard: Int32Array.from(rows, (row) => row.shard),
    position: Int32Array.from(rows, (row) => row.position),
    fold: Int32Array.from(rows, (row) => row.fold),
  };
}

function inListingOrder(
  images: FoldedImages,
  results: readonly PredictedImages[],
  logitsOf: (result: PredictedImages) => Float32Array | undefined,
): Float64Array {
  const count = images.fold.length;
  const found = results.map((result) => logitsOf(result) ?? new Float32Array());
  const classCount = found.reduce((sum, { length }) => sum + length, 0) / count;
  const logits = new Float64Array(count * classCount);
  const taken = new Int32Array(results.length);
  for (let image = 0; image < count; image += 1) {
    const fold = images.fold[image] as number;
    const row = taken[fold] as number;
    const from = found[fold]?.subarray(row * classCount, (row + 1) * classCount);
    logits.set(from ?? [], image * classCount);
    taken[fold] = row + 1;
  }
  return logits;
}
