import { runKeys, seedFrom, writeWithMarker, type RunConfig } from "@trommel/common";
import {
  curveCandidate,
  curveVariant,
  encodePredictions,
  foldRunsOf,
  foldUnits,
  networkRunsOf,
  predictionsMarker,
  type Choice,
  type FoldSplit,
} from "@trommel/common/artefacts";
import { findCommitted, jsonBytes } from "@trommel/common/codec";
import { autoHeadOf, candidatesOf, type AutoHead, type CandidateRecipe } from "@trommel/common/recipe";
import type { StageContext, StageOutcome } from "./context.js";
import { groupingNotes } from "./dividing/division-notes.js";
import { commitEnsemble, commitNovelty, servedHeads, type ChosenRun } from "./folding/chosen-heads.js";
import { accuracyOf, chooseAndMeasure, type Chosen } from "./folding/estimates.js";
import { FoldRows } from "./folding/fold-rows.js";
import { readFoldSplit } from "./folding/fold-split.js";
import { groupsOf, readImageLabels, withKeys } from "./folding/image-places.js";
import { hasTestPart, measureTestNovelty, measureTestPart } from "./folding/measure-test-part.js";
import { readCurvePoint, readOutOfFold, type FoldedImages } from "./folding/out-of-fold.js";
import { readStandardization, variationNotes } from "./folding/standardization.js";
import { commitOnce } from "./inputs/commit-once.js";
import { readRunConfig } from "./inputs/run.js";
import { learningCurveSentence } from "../measure/learning-curve.js";
import { crossFittedThresholds } from "../measure/precision-thresholds.js";

/**
 * Choose: out-of-fold logits → choice, heads, metrics.
 *
 * In: what every fold job wrote. Out: `ensemble.safetensors`, the chosen heads and their temperature, `novelty.safetensors`,
 * `predictions.safetensors`, what was predicted of each image, and `choice.json`, which says how good the heads are. Nothing is measured on images that it was chosen, fitted or calibrated on: temperatures are cross-fitted,
 * and the intervals repeat choice and temperature in every draw. A retry finds both artefacts, keeps the heads that are
 * there, and measures those.
 */
export async function choose(runId: string, context: StageContext): Promise<StageOutcome> {
  const { store } = context;
  const keys = runKeys(runId);
  const done = { images: 0, failed: 0 };
  if ((await findCommitted(store, keys.ensemble)) && (await findCommitted(store, keys.choice))) return done;
  const config = await readRunConfig(store, runId);
  const head = autoHeadOf(config);
  const split = await readFoldSplit(store, runId);
  const standardization = await readStandardization(store, runId);
  const rows = await FoldRows.open(config, split, standardization, context);
  const { images, choices } = await readOutOfFold(config, head, split, context);
  const labels = await readImageLabels(config, images, rows.labels, context);
  context.onNote(`choosing among ${choices.length} candidates`);
  const groupOf = groupsOf(split, images);
  const isHeldOut = split.folds === 1;
  const measured = isHeldOut ? temperatureFolds(groupOf) : { foldOf: images.fold, folds: split.folds };
  const chosen = chooseAndMeasure({
    ...{ choices, labels, classNames: rows.labels, groupOf, by: head.choose, seed: config.recipe.seed },
    ...measured,
    chosenOn: isHeldOut ? "the images held out of tuning" : `the images of ${split.folds} folds`,
  });
  await commitPredictions(runId, { images, chosen, classNames: rows.labels }, context);
  const ensemble = await commitEnsemble({ config, head, split, rows, chosen, context });
  const novelty = head.novelty ? await commitNovelty({ config, head, split, rows, context }) : null;
  const choice: Choice = {
    formatVersion: 1,
    labels: [...rows.labels],
    folds: split.folds,
    candidates: [...chosen.candidates],
    head: ensemble.head,
    heads: servedHeads({ config, head }),
    temperature: ensemble.temperature,
    outOfFold: chosen.figures,
    alone: chosen.alone,
    test: await measureTestPart({ config, head, split, rows, ensemble, context }),
    learningCurve: await measureCurve({ config, head, split, labels, context }),
    mistakes: await withKeys(config, images, chosen.mistakes, context),
    thresholds: thresholdsOf({ chosen, labels, ...measured, head, classNames: rows.labels }),
    testNovelty: novelty === null ? null : await measureTestNovelty(split, rows, novelty),
    chosenBy: [chosen.sentence, ...tuningSentences(config, split)].join(" "),
    grouping: split.grouping,
    contradictions: split.contradictions,
    notes: [
      ...groupingNotes(split.grouping),
      ...split.notes,
      ...variationNotes(standardization),
      ...chosen.notes,
      ...(config.recipe.tune?.head === "tuned" ? [] : refitNotes(servedHeads({ config, head }))),
    ],
  };
  await commitOnce(() => writeWithMarker(store, keys.choice, jsonBytes(choice)));
  return done;
}

/** Every prediction that the figures are computed from. */
async function commitPredictions(
  runId: string,
  of: { readonly images: FoldedImages; readonly chosen: Chosen; readonly classNames: readonly string[] },
  { store }: StageContext,
): Promise<void> {
  const { images, chosen, classNames } = of;
  const { labels, predicted, confidences: probability } = chosen.predicted;
  const { shard, position } = images;
  const bytes = encodePredictions({ shard, position, labels, predicted, probability }, classNames.length);
  const extra = predictionsMarker(classNames);
  await commitOnce(() => writeWithMarker(store, runKeys(runId).predictions, bytes, extra));
}

/** Parts that the temperature of a single fold's images is cross-fitted on. */
const temperatureParts = 5;

/** Divides the images of a single fold, so that none is measured with a temperature that it was fitted on; groups stay together. */
function temperatureFolds(groupOf: Int32Array): { readonly foldOf: Int32Array; readonly folds: number } {
  const foldOf = groupOf.map((group) => (seedFrom("temperature", group) >>> 0) % temperatureParts);
  return { foldOf, folds: temperatureParts };
}

/** What a reader must know of the figures of a run that tunes. */
function tuningSentences(config: RunConfig, split: FoldSplit): string[] {
  const { recipe, foldOf } = config;
  if (recipe.tune === null) return [];
  const networks = foldRunsOf(config).length;
  if (networks > 0) {
    const all = hasTestPart(split) ? "every image but those of the test part" : "every image";
    const each = `${networks} networks were tuned`;
    const without = "each without the images that it is measured on";
    return [
      networkRunsOf(config).length > 0
        ? `${each}, ${without}; the model averages what all of them say.`
        : `${each} for the figures, ${without}; the one in the bundle has seen ${all}.`,
    ];
  }
  const without =
    "The backbone was tuned without these images, which also measured its rounds: rely on the figures of";
  if (foldOf !== undefined) return [`${without} ${foldOf.run}, which has those of all folds.`];
  return [`${without} the test part, which nothing was chosen on.`];
}

/** What a reader must know of a head that no fold has measured. */
function refitNotes(heads: AutoHead["heads"]): string[] {
  if (heads === "folds") return [];
  return [
    "The model's head was trained once more on the images of all folds. All figures but those of a test part are of the heads of the folds, which saw fewer images.",
  ];
}

/** The probability of every class from which on its answers are right often enough. */
function thresholdsOf(of: {
  readonly chosen: Chosen;
  readonly labels: Int32Array;
  readonly foldOf: Int32Array;
  readonly folds: number;
  readonly head: AutoHead;
  readonly classNames: readonly string[];
}): Choice["thresholds"] {
  const { chosen, labels, foldOf, folds, head, classNames } = of;
  const count = classNames.length;
  const found = crossFittedThresholds(chosen.probabilities, labels, count, foldOf, folds, head.precision);
  return {
    precision: head.precision,
    perClass: found.map((threshold, index) => ({ label: classNames[index] ?? "", ...threshold })),
  };
}

/** The curve ends at its candidate's own figures, which are trained on all images of the other folds. */
async function measureCurve(
  run: Omit<ChosenRun, "rows" | "chosen"> & { readonly labels: Int32Array },
): Promise<Choice["learningCurve"]> {
  const { config, head, split, labels, context } = run;
  if (!head.learningCurve || config.recipe.tune !== null) return null;
  const units = foldUnits(head, split);
  const candidate = curveCandidate;
  const of = candidatesOf(head)[candidate] as CandidateRecipe;
  const shares = [...new Set(units.filter((unit) => unit.candidate === candidate).map(({ share }) => share))];
  const trainedOn = (labels.length * (split.folds - 1)) / split.folds;
  const points = [];
  for (const share of shares.sort((a, b) => a - b)) {
    const variant = share === 1 ? curveVariant(of) : 0;
    const logits = await readCurvePoint(config, units, { candidate, share, variant }, context);
    points.push({ share, images: Math.round(share * trainedOn), accuracy: accuracyOf(logits, labels) });
  }
  return {
    candidate: of.name,
    points,
    sentence: learningCurveSentence(points, labels.length),
  };
}
