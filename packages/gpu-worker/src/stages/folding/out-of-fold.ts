import { runKeys, TrommelError, type RunConfig } from "@trommel/common";
import {
  decodeFoldResult,
  foldRunsOf,
  foldUnits,
  unitsByDivision,
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
  /** How many heads that never saw it an image's logits are the mean of: one for each division that the candidate was trained on. */
  readonly repeats: number;
  /** [images, classes], in listing order. */
  readonly logits: Float64Array;
  /** The same of the image alone, where the others are averaged with flips of it. */
  readonly alone: Float64Array | undefined;
}

/** The images of all folds in listing order, with their folds in the first division. */
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
    const divisions = foldJobsOf(config, head, split, index);
    const variants = variantsOf(candidate);
    const logits = variants.map(() => new MeanLogits());
    const alone = variants.map(() => new MeanLogits());
    for (const jobs of divisions) {
      const results = await readHeldOut(jobs, context);
      const own = foldedImages(results);
      images ??= own;
      const hasAlone = results.every((result) => result.alone !== undefined);
      for (const variant of variants.keys()) {
        logits[variant]?.add(inListingOrder(own, results, (result) => result.logits[variant]));
        if (hasAlone) alone[variant]?.add(inListingOrder(own, results, (result) => result.alone?.[variant]));
      }
    }
    for (const [variant, penalty] of variants.entries())
      choices.push({
        ...{ candidate, at: { candidate: index, variant }, penalty, repeats: divisions.length },
        logits: logits[variant]?.mean() ?? new Float64Array(),
        alone: alone[variant]?.mean(),
      });
  }
  if (images === undefined)
    throw new TrommelError("internal", `cannot choose for ${config.id}: it has no candidate`);
  return { images, choices };
}

/** The mean of logits of the same images, of which it holds one sum. */
class MeanLogits {
  #sum: Float64Array | undefined;
  #count = 0;

  /** Takes the array, and may change it. */
  add(logits: Float64Array): void {
    this.#count += 1;
    const sum = this.#sum;
    if (sum === undefined) this.#sum = logits;
    else for (let at = 0; at < sum.length; at += 1) sum[at] = (sum[at] as number) + (logits[at] as number);
  }

  /** Undefined if nothing was added. */
  mean(): Float64Array | undefined {
    return this.#sum?.map((value) => value / this.#count);
  }
}

/** Predictions by the first division of the learning curve's candidate at a share of the images, by variant. */
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

/**
 * The jobs that predicted the folds with a candidate, by division and fold: the run's own, or of its one division those of the runs that
 * tuned a network for each fold.
 */
export function foldJobsOf(
  config: RunConfig,
  head: AutoHead,
  split: FoldSplit,
  candidate: number,
): FoldJob[][] {
  const foldRuns = foldRunsOf(config);
  if (foldRuns.length === 0)
    return unitsByDivision(foldUnits(head, split), candidate).map((jobs) =>
      jobs.map((job) => ({ run: config.id, job })),
    );
  const ofOneFold = unitsOf(foldUnits(head, { folds: 1 }), candidate, 1);
  return [foldRuns.flatMap((run) => ofOneFold.map((job) => ({ run, job })))];
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
