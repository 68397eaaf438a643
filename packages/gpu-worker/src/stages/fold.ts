import { runKeys, TrommelError, writeWithMarker, type RunConfig } from "@trommel/common";
import {
  curveVariant,
  encodeFoldResult,
  foldUnits,
  testPart,
  variantsOf,
  type FoldSplit,
  type FoldUnit,
} from "@trommel/common/artefacts";
import { findCommitted } from "@trommel/common/codec";
import { autoHeadOf, candidatesOf, type CandidateRecipe } from "@trommel/common/recipe";
import type { StageContext, StageOutcome } from "./context.js";
import { FoldRows, hashShare, type LabelledRow } from "./folding/fold-rows.js";
import { predictPart, servedViews } from "./folding/predict-part.js";
import { divisionOf, readFoldSplit } from "./folding/fold-split.js";
import { readStandardization } from "./folding/standardization.js";
import { trainCandidate } from "./folding/train-candidate.js";
import { commitOnce } from "./inputs/commit-once.js";
import { readRunConfig } from "./inputs/run.js";

/**
 * Fold: feature shards, labels, split, standardization → heads, out-of-fold logits.
 *
 * In: the rows of all images, the number of the candidate, division and fold. Out: `folds/<n>.safetensors`: the candidate's heads, trained
 * on every view of the images of the other folds, and their logits of the fold's own images, of the views that the model serves
 * with. The number of epochs is the candidate's: nothing is chosen on what is predicted here.
 * A retry finds the marker, or trains again to the same bytes.
 */
export async function fold(runId: string, index: number, context: StageContext): Promise<StageOutcome> {
  const { store } = context;
  const key = runKeys(runId).fold(index);
  if ((await findCommitted(store, key)) !== undefined) return { images: 0, failed: 0 };
  const config = await readRunConfig(store, runId);
  const head = autoHeadOf(config);
  const split = await readFoldSplit(store, runId);
  const unit = foldUnits(head, split)[index];
  const tried = candidatesOf(head)[unit?.candidate ?? -1];
  if (unit === undefined || tried === undefined)
    throw new TrommelError("internal", `cannot train fold job ${index} of ${runId}: there is no such job`);
  const candidate = unit.share === 1 ? tried : ofCurve(tried);
  context.onNote(`${candidate.name}, fold ${unit.fold + 1} of ${split.folds}${ofDivision(unit, split)}`);
  const division = divisionOf(split, unit.repeat);
  const rows = await FoldRows.open(config, division, await readStandardization(store, runId), context);
  const train = await rows.collect((row) => isTrainedOn(row, unit, config), head.rowsAtMost);
  const heads = await trainCandidate(candidate, {
    train,
    config,
    repeat: unit.repeat,
    labels: rows.labels,
    context,
  });
  const views = servedViews(config.recipe);
  const of = { head: candidate.head, heads, views, ownNetworks: false };
  const heldOut = await predictPart(rows, unit.fold, of);
  const bytes = encodeFoldResult({ heads, heldOut }, rows.labels.length);
  await commitOnce(() => writeWithMarker(store, key, bytes, { ...unit, candidate: candidate.name }));
  return { images: 0, failed: 0 };
}

function ofDivision({ repeat }: FoldUnit, { furtherParts }: FoldSplit): string {
  return furtherParts === undefined ? "" : ` of division ${repeat + 1}`;
}

/** The learning curve solves for one penalty alone. */
function ofCurve(candidate: CandidateRecipe): CandidateRecipe {
  const penalty = variantsOf(candidate)[curveVariant(candidate)];
  return typeof penalty === "number" ? { ...candidate, penalties: [penalty] } : candidate;
}

/** All views of an image are trained on, or none. A smaller share of the learning curve is part of the larger ones. */
function isTrainedOn(
  { part, key }: LabelledRow,
  { fold: heldOut, share }: FoldUnit,
  { recipe }: RunConfig,
): boolean {
  if (part === testPart || part === heldOut) return false;
  return share === 1 || hashShare("learning curve", recipe.seed, key) < share;
}
