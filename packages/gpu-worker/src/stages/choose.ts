import {
  decodeNovelty,
  encodeNovelty,
  readLabelLookup,
  runKeys,
  TrommelError,
  writeWithMarker,
  type HeadWeights,
  type Novelty,
  type RunConfig,
  type Shard,
} from "@trommel/common";
import {
  curveCandidate,
  curveVariant,
  decodeFoldResult,
  foldUnits,
  testPart,
  unitsOf,
  type Choice,
  type FoldSplit,
} from "@trommel/common/artefacts";
import { findCommitted, jsonBytes, readInput } from "@trommel/common/codec";
import { autoHeadOf, candidatesOf, type AutoHead, type CandidateRecipe } from "@trommel/common/recipe";
import { decodeEnsemble, encodeEnsemble, meanLogits, type Ensemble } from "../head/model/ensemble.js";
import type { StageContext, StageOutcome } from "./context.js";
import { groupingNotes } from "./dividing/division-notes.js";
import { accuracyOf, chooseAndMeasure, measureTest, type Chosen } from "./folding/estimates.js";
import { FoldRows } from "./folding/fold-rows.js";
import { readFoldSplit } from "./folding/fold-split.js";
import { readCurvePoint, readOutOfFold, type FoldedImages } from "./folding/out-of-fold.js";
import { predictPart, servedViews } from "./folding/predict-part.js";
import { readStandardization, variationNotes } from "./folding/standardization.js";
import { fitRunNovelty } from "./folding/fit-run-novelty.js";
import { trainCandidate } from "./folding/train-candidate.js";
import { commitOnce } from "./inputs/commit-once.js";
import { readListing, readShard } from "./inputs/listing.js";
import { readRunConfig } from "./inputs/run.js";
import { learningCurveSentence } from "../measure/learning-curve.js";
import { noveltyOf } from "../measure/novelty/novelty-distances.js";
import { crossFittedThresholds } from "../measure/precision-thresholds.js";

/**
 * Choose: out-of-fold logits → choice, heads, metrics.
 *
 * In: what every fold job wrote. Out: `ensemble.safetensors`, the chosen heads and their temperature, `novelty.safetensors`, and
 * `choice.json`, which says how good they are. Nothing is measured on images that it was chosen, fitted or calibrated on: temperatures are cross-fitted,
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
  const chosen = chooseAndMeasure({
    choices,
    labels,
    classNames: rows.labels,
    foldOf: images.fold,
    folds: split.folds,
    groupOf: groupsOf(split, images),
    by: head.choose,
    seed: config.recipe.seed,
  });
  const ensemble = await commitEnsemble({ config, head, split, rows, chosen, context });
  const novelty = head.novelty ? await commitNovelty({ config, head, split, rows, context }) : null;
  const choice: Choice = {
    formatVersion: 1,
    labels: [...rows.labels],
    folds: split.folds,
    candidates: [...chosen.candidates],
    head: ensemble.head,
    heads: head.heads,
    temperature: ensemble.temperature,
    outOfFold: chosen.figures,
    alone: chosen.alone,
    test: await measureTestPart({ config, head, split, rows, chosen, ensemble, context }),
    learningCurve: await measureCurve({ config, head, split, labels, context }),
    mistakes: await withKeys(config, images, chosen.mistakes, context),
    thresholds: thresholdsOf({ chosen, labels, images, split, head, classNames: rows.labels }),
    testNovelty: novelty === null ? null : await measureTestNovelty(split, rows, novelty),
    chosenBy: chosen.sentence,
    grouping: split.grouping,
    notes: [
      ...groupingNotes(split.grouping),
      ...split.notes,
      ...variationNotes(standardization),
      ...chosen.notes,
      ...refitNotes(head),
    ],
  };
  await commitOnce(() => writeWithMarker(store, keys.choice, jsonBytes(choice)));
  return done;
}

/** What a reader must know of a head that no fold has measured. */
function refitNotes({ heads }: AutoHead): string[] {
  if (heads === "folds") return [];
  return [
    "The model's head was trained once more on the images of all folds. All figures but those of a test part are of the heads of the folds, which saw fewer images.",
  ];
}

/** The share of the test part that a scoring with this bound would label unknown. */
const reportedNovelty = 0.99;

async function measureTestNovelty(
  split: FoldSplit,
  rows: FoldRows,
  novelty: Novelty,
): Promise<Choice["testNovelty"]> {
  if (!hasTestPart(split)) return null;
  let [images, above] = [0, 0];
  for await (const { part, view, values } of rows.each()) {
    if (part !== testPart || view > 0) continue;
    images += 1;
    if ((noveltyOf(novelty, values)[0] ?? 0) > reportedNovelty) above += 1;
  }
  return images === 0 ? null : { above: reportedNovelty, share: above / images };
}

function hasTestPart({ parts }: FoldSplit): boolean {
  return parts.some((ofShard) => ofShard.includes(testPart));
}

interface ChosenRun {
  readonly config: RunConfig;
  readonly head: AutoHead;
  readonly split: FoldSplit;
  readonly rows: FoldRows;
  readonly chosen: Chosen;
  readonly context: StageContext;
}

/** Images in listing order, by their shards and positions. */
type Places = Pick<FoldedImages, "shard" | "position">;

/** The number of each image's group. */
function groupsOf({ groups }: FoldSplit, { shard, position }: Places): Int32Array {
  return Int32Array.from(shard, (index, image) => groups?.[index]?.[position[image] as number] ?? image);
}

/** The classes of the images, in their order. */
async function readImageLabels(
  config: RunConfig,
  images: Places,
  classNames: readonly string[],
  { store }: StageContext,
): Promise<Int32Array> {
  const labelOf = await readLabelLookup(store, config);
  const indexOf = new Map(classNames.map((label, index) => [label, index]));
  const { shards } = await readListing(store, runKeys(config.id).listing);
  const labels = new Int32Array(images.shard.length);
  let image = 0;
  for (let index = 0; index < shards; index += 1) {
    const { entries } = await readShard(store, runKeys(config.id).shard(index));
    for (; images.shard[image] === index; image += 1) {
      const key = entries[images.position[image] as number]?.key ?? "";
      labels[image] = indexOf.get(labelOf(key) ?? "") ?? -1;
    }
  }
  return labels;
}

/** Mistakes with the keys of their images. */
async function withKeys(
  { id }: RunConfig,
  { shard, position }: Places,
  mistakes: Chosen["mistakes"],
  { store }: StageContext,
): Promise<Choice["mistakes"]> {
  const entries = new Map<number, Shard["entries"]>();
  for (const index of new Set(mistakes.map(({ row }) => shard[row] as number)))
    entries.set(index, (await readShard(store, runKeys(id).shard(index))).entries);
  return mistakes.map(({ row, ...mistake }) => ({
    key: entries.get(shard[row] as number)?.[position[row] as number]?.key ?? "",
    ...mistake,
  }));
}

/** The heads of the bundle. Those that another worker has committed stay. */
async function commitEnsemble(run: ChosenRun): Promise<Ensemble> {
  const { config, chosen, context } = run;
  const key = runKeys(config.id).ensemble;
  const { head } = chosen.candidate;
  if ((await findCommitted(context.store, key)) === undefined) {
    const heads = run.head.heads === "refit" ? [await refit(run)] : await readHeads(run);
    const bytes = encodeEnsemble({ head, heads, temperature: chosen.temperature });
    await commitOnce(() => writeWithMarker(context.store, key, bytes));
  }
  return decodeEnsemble((await readInput(context.store, key)).bytes, key, head);
}

/** The statistics of novelty. Those that another worker has committed stay. */
async function commitNovelty(run: Omit<ChosenRun, "chosen">): Promise<Novelty> {
  const { config, head, split, rows, context } = run;
  const key = runKeys(config.id).novelty;
  if ((await findCommitted(context.store, key)) === undefined) {
    context.onNote("measuring how novel images are");
    const { threads } = context;
    const { novelty } = await fitRunNovelty(rows, { config, split, rowsAtMost: head.rowsAtMost, threads });
    await commitOnce(() => writeWithMarker(context.store, key, encodeNovelty(novelty)));
  }
  return decodeNovelty((await readInput(context.store, key)).bytes, key);
}

/** The probability of every class from which on its answers are right often enough. */
function thresholdsOf(of: {
  readonly chosen: Chosen;
  readonly labels: Int32Array;
  readonly images: FoldedImages;
  readonly split: FoldSplit;
  readonly head: AutoHead;
  readonly classNames: readonly string[];
}): Choice["thresholds"] {
  const { chosen, labels, images, split, head, classNames } = of;
  const count = classNames.length;
  const { fold } = images;
  const found = crossFittedThresholds(chosen.probabilities, labels, count, fold, split.folds, head.precision);
  return {
    precision: head.precision,
    perClass: found.map((threshold, index) => ({ label: classNames[index] ?? "", ...threshold })),
  };
}

async function readHeads({ config, head, split, chosen, context }: ChosenRun): Promise<HeadWeights[]> {
  const heads: HeadWeights[] = [];
  for (const job of unitsOf(foldUnits(head, split.folds), chosen.at.candidate, 1)) {
    const key = runKeys(config.id).fold(job);
    const found = decodeFoldResult((await readInput(context.store, key)).bytes, key).heads[chosen.at.variant];
    if (found !== undefined) heads.push(found);
  }
  return heads;
}

/** One head, trained on every image but those of the test part. */
async function refit({ config, head, rows, chosen, context }: ChosenRun): Promise<HeadWeights> {
  context.onNote("training the chosen head on all images");
  const train = await rows.collect(({ part }) => part !== testPart, head.rowsAtMost);
  const heads = await trainCandidate(chosen.candidate, { train, config, labels: rows.labels, context });
  const found = heads[chosen.at.variant];
  if (found === undefined)
    throw new TrommelError("internal", `cannot train ${config.id} again: there is no such head`);
  return found;
}

async function measureTestPart(run: ChosenRun & { readonly ensemble: Ensemble }): Promise<Choice["test"]> {
  const { config, split, rows, ensemble, context } = run;
  if (!hasTestPart(split)) return null;
  const { head, heads, temperature } = ensemble;
  const { shard, position, logits } = await predictPart(rows, testPart, {
    head,
    heads,
    views: servedViews(config.recipe),
  });
  const images = { shard, position };
  const labels = await readImageLabels(config, images, rows.labels, context);
  return measureTest({
    logits: Float64Array.from(meanLogits(logits)),
    temperature,
    labels,
    classNames: rows.labels,
    groupOf: groupsOf(split, images),
    seed: config.recipe.seed,
  });
}

/** The curve ends at its candidate's own figures, which are trained on all images of the other folds. */
async function measureCurve(
  run: Omit<ChosenRun, "rows" | "chosen"> & { readonly labels: Int32Array },
): Promise<Choice["learningCurve"]> {
  const { config, head, split, labels, context } = run;
  if (!head.learningCurve) return null;
  const units = foldUnits(head, split.folds);
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
