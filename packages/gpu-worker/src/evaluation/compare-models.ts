import { someOf, TrommelError } from "@trommel/common";
import type { Comparison, Estimate } from "@trommel/common/artefacts";
import type { EvaluatedScores } from "@trommel/common/worker-commands";
import { intervalsOfDifference } from "../measure/bootstrap/bootstrap-figures.js";
import { mcnemar } from "../measure/mcnemar.js";
import { answerOf, readScoreRows, type Answer, type LabelledAnswer } from "./answers.js";
import { measureAnswers } from "./evaluated-figures.js";
import { classesByName } from "./join-labels.js";

/** Images of `changed`; `evaluation.jsonl` has all of them. */
const changedAtMost = 50;

export interface ComparedModels {
  readonly comparison: Comparison;
  /** The second model's answers by key. */
  readonly answers: ReadonlyMap<string, Answer>;
}

/**
 * Compares a second model on the images that both have scored and whose label both know.
 * @param images the first model's answers
 * @throws TrommelError `bad-dataset` if there is no such image
 */
export async function compareModels(
  images: readonly LabelledAnswer[],
  classes: readonly string[],
  second: EvaluatedScores,
  signal: AbortSignal,
): Promise<ComparedModels> {
  const named = classesByName(classes);
  const rename = (name: string): string => named.get(name.normalize("NFC")) ?? name;
  const { answers, scored } = await readAnswers(images, second, rename, signal);
  const pairs = images.flatMap((first) => {
    const other = answers.get(first.key);
    return other === undefined ? [] : [{ first, second: { ...first, ...other } }];
  });
  if (pairs.length === 0) {
    throw nothingCommon(images, second, scored);
  }
  const all = [...new Set([...classes, ...second.classes.map(rename)])];
  const one = measureAnswers(
    pairs.map(({ first }) => first),
    all,
  );
  const other = measureAnswers(
    pairs.map((pair) => pair.second),
    all,
  );
  const intervals = intervalsOfDifference(one.drawn, other.drawn);
  const difference = (name: keyof Comparison["difference"]): Estimate | null => {
    const [a, b] = [one.figures[name], other.figures[name]];
    const [low, high] = intervals[name];
    return a === null || b === null ? null : { value: b.value - a.value, low, high };
  };
  const changed = pairs.filter((pair) => pair.first.correct !== pair.second.correct);
  const onlyFirstRight = changed.filter(({ first }) => first.correct).length;
  const bothRight = pairs.filter((pair) => pair.first.correct && pair.second.correct).length;
  const comparison: Comparison = {
    model: second.model,
    scores: second.location,
    first: one.figures,
    second: other.figures,
    difference: {
      accuracy: difference("accuracy"),
      balancedAccuracy: difference("balancedAccuracy"),
      macroF1: difference("macroF1"),
      logLoss: difference("logLoss"),
      expectedCalibrationError: difference("expectedCalibrationError"),
    },
    bothRight,
    onlyFirstRight,
    onlySecondRight: changed.length - onlyFirstRight,
    bothWrong: pairs.length - changed.length - bothRight,
    test: mcnemar(onlyFirstRight, changed.length - onlyFirstRight),
    changed: changed.slice(0, changedAtMost).map((pair) => ({
      key: pair.first.key,
      label: pair.first.label,
      first: pair.first.predicted,
      second: pair.second.predicted,
    })),
  };
  return { comparison, answers };
}

/** Which images the second model has scored. */
interface ScoredKeys {
  /** How many of the first model's labelled images. */
  readonly common: number;
  /** The key of one; undefined without a row. */
  readonly example: string | undefined;
}

/** Two scorings of other places, or of a folder and an archive of it, have other keys for the same images. */
function nothingCommon(
  images: readonly LabelledAnswer[],
  { model, location, classes }: EvaluatedScores,
  { common, example }: ScoredKeys,
): TrommelError {
  const [first] = images;
  const why =
    common > 0
      ? `it knows no label of the ${common} images that both have scored (it knows ${someOf(classes)}). Compare with a model of the same classes`
      : example === undefined
        ? "it has scored no image. Compare with another scoring"
        : `no key is the same in both: ${JSON.stringify(example)} is one of ${location}, and ${JSON.stringify(first?.key ?? "")} one of these scores. Compare with a scoring of the same prefix, manifest or archives, or give the model itself, which then scores these images`;
  return new TrommelError("bad-dataset", `cannot compare with ${model.location}: ${why}`, {
    context: { scores: location },
  });
}

/**
 * The second model's answers about labelled images whose label it knows.
 * @param rename a class as the first model writes it
 */
async function readAnswers(
  images: readonly LabelledAnswer[],
  second: EvaluatedScores,
  rename: (name: string) => string,
  signal: AbortSignal,
): Promise<{ readonly answers: Map<string, Answer>; readonly scored: ScoredKeys }> {
  const labelOf = new Map(images.map(({ key, label }) => [key, label]));
  const classOf = classesByName(second.classes);
  const answers = new Map<string, Answer>();
  let common = 0;
  let example: string | undefined;
  for await (const row of readScoreRows(second, signal)) {
    const label = labelOf.get(row.key);
    if (label !== undefined) common += 1;
    example ??= row.key;
    const own = label === undefined ? undefined : classOf.get(label.normalize("NFC"));
    if (own === undefined) continue;
    const answer = answerOf(row, own);
    const { predicted, likeliest } = answer;
    answers.set(row.key, { ...answer, predicted: rename(predicted), likeliest: rename(likeliest) });
  }
  return { answers, scored: { common, example } };
}
