import { openStore, resolveLocation } from "@trommel/common";
import { autoHeadOf, candidatesOf } from "@trommel/common/recipe";
import { figures } from "#gpu-worker/measure/figures";
import { applyTemperature } from "#gpu-worker/measure/softmax";
import { crossFittedTemperatures, temperatureOfRows } from "#gpu-worker/measure/temperature";
import { FoldRows } from "#gpu-worker/stages/folding/fold-rows";
import { readFoldSplit } from "#gpu-worker/stages/folding/fold-split";
import { predictPart, servedViews } from "#gpu-worker/stages/folding/predict-part";
import { readStandardization } from "#gpu-worker/stages/folding/standardization";
import { trainCandidate } from "#gpu-worker/stages/folding/train-candidate";
import { stageContext } from "./run-stages.js";
import { readConfig } from "./stored-run.js";

export interface SeedOptions {
  /** Folder of the store. */
  readonly folder: string;
  readonly run: string;
  /** The candidate's place in the recipe. */
  readonly candidate: number;
  readonly seed: number;
}

export interface SeedFigures {
  readonly accuracy: number;
  readonly logLoss: number;
}

/** A run's candidate on the run's own folds, its heads from another seed; log loss at cross-fitted temperatures. */
export async function trainWithSeed({ folder, run, candidate, seed }: SeedOptions): Promise<SeedFigures> {
  const store = openStore(resolveLocation(folder));
  const context = stageContext(store);
  const config = await readConfig(store, run);
  const head = autoHeadOf(config);
  const tried = candidatesOf(head)[candidate];
  if (tried === undefined) throw new RangeError(`${run} has no candidate ${candidate}`);
  const split = await readFoldSplit(store, run);
  const rows = await FoldRows.open(config, split, await readStandardization(store, run), context);
  const seeded = { ...config, recipe: { ...config.recipe, seed } };
  const [logits, labels, foldOf]: [number[], number[], number[]] = [[], [], []];
  for (let fold = 0; fold < split.folds; fold += 1) {
    const train = await rows.collect(({ part }) => part >= 0 && part !== fold, head.rowsAtMost);
    const heads = await trainCandidate(tried, {
      ...{ train, config: seeded, repeat: 0, labels: rows.labels, context },
    });
    const views = servedViews(config.recipe);
    const heldOut = await predictPart(rows, fold, { head: tried.head, heads, views, ownNetworks: false });
    logits.push(...(heldOut.logits[0] ?? []));
    for await (const { view, part, label } of rows.each()) {
      if (view !== 0 || part !== fold) continue;
      labels.push(label);
      foldOf.push(fold);
    }
  }
  store.close();
  const classCount = rows.labels.length;
  const [of, truth, folds] = [Float64Array.from(logits), Int32Array.from(labels), Int32Array.from(foldOf)];
  const temperatures = crossFittedTemperatures(of, truth, classCount, folds, split.folds);
  const probabilities = applyTemperature(of, classCount, temperatureOfRows(temperatures, folds));
  const { accuracy, logLoss } = figures(probabilities, truth, classCount);
  return { accuracy, logLoss };
}
