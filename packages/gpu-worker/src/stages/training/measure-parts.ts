import type { Metrics } from "@trommel/common";
import { readDivision, type MeasuredFigures } from "@trommel/common/artefacts";
import { selectRows, type RowSet } from "../../head/model/row-set.js";
import { predictProbabilities } from "../../head/model/predict-head.js";
import type { TrainedHead } from "../../head/train-head.js";
import { bootstrapFigures } from "../../measure/bootstrap/bootstrap-figures.js";
import { figures } from "../../measure/figures.js";
import { measuredFigures } from "../../measure/measured-figures.js";
import type { StageContext } from "../context.js";
import { readDividedImages } from "../dividing/divided-images.js";
import { publishedHead, type ResolvedRun } from "../inputs/run.js";
import type { LabelledRows } from "./training-rows.js";
import { groupNumbers } from "./validation-groups.js";

/**
 * The figures of a single head with their intervals: of the validation part, which may have chosen the epoch; of the same part
 * with epochs that its other images chose; and of the test part, on which nothing was fitted or chosen.
 */
export async function measureParts(
  config: ResolvedRun,
  rows: LabelledRows,
  trained: TrainedHead & {
    /** What the kept epoch's weights give for the validation part, [images, classes]. */
    readonly probabilities: Float32Array;
    /** The group of each validation row. */
    readonly groupOf: Int32Array;
  },
  context: StageContext,
): Promise<Pick<Metrics, "validation" | "chosenApart" | "test" | "chosenBy" | "notes">> {
  const measure = (found: Float32Array, labels: Int32Array, groupOf: Int32Array): MeasuredFigures => {
    const probabilities = Float64Array.from(found);
    const classCount = rows.labels.length;
    const options = { seed: config.recipe.seed, groupOf };
    const { intervals } = bootstrapFigures(probabilities, labels, classCount, options);
    return measuredFigures(figures(probabilities, labels, classCount), intervals, rows.labels);
  };
  const { labels } = rows.validation;
  const validation = measure(trained.probabilities, labels, trained.groupOf);
  const chosenApart = trained.apart === null ? null : measure(trained.apart, labels, trained.groupOf);
  const apart = await readApart(config, rows, context);
  const testOf = ({ rows: { features, labels }, groupOf }: TestRows): MeasuredFigures => {
    const head = publishedHead(config);
    return measure(predictProbabilities(head, trained.weights, features, labels.length), labels, groupOf);
  };
  const test = apart === undefined || apart.rows.labels.length === 0 ? null : testOf(apart);
  return {
    validation,
    chosenApart,
    test,
    chosenBy: describeChoice(config, trained, { images: validation.images, isTested: test !== null }),
    notes: apart?.notes ?? [],
  };
}

/** What was chosen on the validation part, and where honest figures come from. */
function describeChoice(
  { recipe }: ResolvedRun,
  { bestEpoch, history, apart }: TrainedHead,
  part: { readonly images: number; readonly isTested: boolean },
): string {
  const { optimizer, keep } = recipe.training;
  const these = `the ${part.images} images of the validation part`;
  if (optimizer.type === "lbfgs") return `The head was solved, and nothing was chosen on ${these}.`;
  const follows = recipe.training.schedule.type === "plateau";
  if (keep === "last" && !follows) return `The last epoch was kept, and nothing was chosen on ${these}.`;
  const chosen =
    keep === "last"
      ? `The learning rate followed the loss on ${these}`
      : `Epoch ${bestEpoch} of ${history.length} was chosen on ${these}`;
  return [
    `${chosen}, so the figures on them flatter.`,
    ...honestFigures(apart !== null, follows, part.isTested),
  ].join(" ");
}

function honestFigures(isChosenApart: boolean, follows: boolean, isTested: boolean): string[] {
  const testPart = "Keep a test part to have figures that do not, such as with --test 0.2.";
  const rate = follows ? ", but the learning rate followed the loss on all of them" : "";
  return [
    ...(isChosenApart
      ? [
          `Next to them each fifth of the images is measured with the epoch that the other four fifths choose${rate}.`,
        ]
      : []),
    ...(isTested
      ? ["The figures of the test part do not flatter."]
      : isChosenApart && !follows
        ? []
        : [testPart]),
  ];
}

interface TestRows {
  readonly rows: RowSet;
  readonly groupOf: Int32Array;
  readonly notes: string[];
}

/**
 * The images of the test part of which neither a copy nor a member of their group was trained or validated on. The part was chosen
 * before the images were read, so that copies are found only now.
 */
async function readApart(
  config: ResolvedRun,
  { test }: LabelledRows,
  context: StageContext,
): Promise<TestRows | undefined> {
  if (test === null) return undefined;
  const division = await readDivision(context.store, config);
  const images = await readDividedImages(config, division, context);
  const placeOf = (shard: number, position: number): string => `${shard}/${position}`;
  const rowOf = new Map(test.places.map(({ shard, position }, row) => [placeOf(shard, position), row]));
  const isTested = ({ shard, position }: (typeof images)[number]): boolean =>
    rowOf.has(placeOf(shard, position));
  const seen = new Set(images.flatMap((image) => (isTested(image) ? [] : image.tokens)));
  const apart = images.filter((image) => isTested(image) && !image.tokens.some((token) => seen.has(token)));
  const groupOf = groupNumbers(apart.map(({ tokens }) => tokens));
  const kept = apart.map(({ shard, position }) => rowOf.get(placeOf(shard, position)) as number);
  return { rows: selectRows(test.rows, kept), groupOf, notes: noteOf(test.places.length, kept.length) };
}

function noteOf(tested: number, kept: number): string[] {
  if (tested === 0) return ["The test part has no image that could be read."];
  if (tested === kept) return [];
  const left = tested - kept;
  return [
    `${left} of the ${tested} images of the test part ${left === 1 ? "is" : "are"} left out of its figures, because a copy or a member of the same group was trained or validated on.`,
  ];
}
