import {
  openStore,
  outputKeys,
  parseJsonAs,
  readWithMarker,
  scoringConfig,
  writeWithMarker,
  type LabelTable,
  type ObjectStore,
  type Shard,
} from "@trommel/common";
import {
  evaluationFiles,
  findShard,
  labelTable,
  listedKeysOf,
  modelEvaluation,
  unknownLabel,
  type EvaluationRow,
  type Mistake,
  type ModelEvaluation,
} from "@trommel/common/artefacts";
import { isOtherContent, jsonFile, parseSealedAs } from "@trommel/common/codec";
import { range, readBounds, readIfThere } from "@trommel/common/store";
import type { EvaluatedScores, EvaluateOptions } from "@trommel/common/worker-commands";
import { galleryFrom } from "../gallery/gallery.js";
import { worstMistakes } from "../measure/worst-mistakes.js";
import { renderEvaluation } from "../report/evaluation-report.js";
import type { Answer, LabelledAnswer } from "./answers.js";
import { compareModels } from "./compare-models.js";
import { measureAnswers, withoutProbability } from "./evaluated-figures.js";
import { joinLabels, leftOutSentence, type JoinedScores } from "./join-labels.js";

/**
 * Evaluate: scores, labels → `evaluation.jsonl`, `evaluation.html`, and last `evaluation.json` with its marker.
 *
 * Reads rows of scores; pictures only for the thumbnails of the worst mistakes. A repeat writes the same again, and keeps
 * `evaluation.json` if another process was first.
 * @throws TrommelError `bad-dataset` if no image is left to measure, `corrupt` for scores that are not as their markers say
 */
export async function evaluateScores(
  options: EvaluateOptions,
  signal: AbortSignal,
): Promise<ModelEvaluation> {
  const store = openStore(options.storeUrl);
  try {
    const { scores, compared, source, unmatchedLabels } = options;
    const nameOf = (name: string): string => `${options.folder}/${name}`;
    const table = options.labelTable ? await readLabels(store, nameOf(evaluationFiles.labels)) : null;
    const joined = await joinLabels(scores, table, unmatchedLabels, signal);
    const { images } = joined;
    const rival = compared === null ? null : await compareModels(images, scores.classes, compared, signal);
    const { figures, labels } = measureAnswers(images, scores.classes);
    const unknown = images.filter((answer) => isUnknown(answer, scores)).length;
    const evaluation: ModelEvaluation = {
      formatVersion: 1,
      model: scores.model,
      source,
      scores: scores.location,
      labels: [...labels],
      figures,
      unknown,
      leftOut: joined.leftOut,
      mistakes: mistakesOf(images, scores),
      comparison: rival?.comparison ?? null,
      notes: notesOf(joined, scores, unknown),
    };
    const gallery = await galleryFrom(source, evaluation.mistakes, signal, shardsOf(store, scores));
    const lines = linesOf(images, rival?.answers);
    await store.putStream(nameOf(evaluationFiles.rows), lines, { contentType: "application/jsonl" });
    const page = Buffer.from(renderEvaluation(evaluation, { gallery, storeUrl: store.url }), "utf8");
    await store.put(nameOf(evaluationFiles.report), page, { contentType: "text/html" });
    return await commit(store, nameOf(evaluationFiles.evaluation), evaluation);
  } finally {
    store.close();
  }
}

/** The shards of scored images that lie within archives, where this store has their scoring; none of other images. */
async function* shardsOf(store: ObjectStore, { location, parts }: EvaluatedScores): AsyncGenerator<Shard> {
  const output = openStore(location);
  const body = await readIfThere(output, outputKeys.owner).finally(() => output.close());
  if (body === undefined) return;
  const { id, from } = parseSealedAs(scoringConfig, body, `${location}/${outputKeys.owner}`);
  if (from?.type !== "archives") return;
  for (const { generation, first, last } of parts)
    for (const index of range(first, last + 1)) {
      const shard = await findShard(store, listedKeysOf(id, generation).shard(index));
      if (shard !== undefined) yield shard;
    }
}

async function readLabels(store: ObjectStore, key: string): Promise<LabelTable> {
  return parseJsonAs(labelTable, await store.get(key, readBounds.dataset), key);
}

function isUnknown({ predicted }: Answer, { classes }: EvaluatedScores): boolean {
  return predicted === unknownLabel && !classes.includes(unknownLabel);
}

/** An image that the model called unknown is no mistake that it was sure of. */
function mistakesOf(images: readonly LabelledAnswer[], scores: EvaluatedScores): Mistake[] {
  const rows = worstMistakes({
    hits: Uint8Array.from(images, (answer) => (answer.correct || isUnknown(answer, scores) ? 1 : 0)),
    confidences: Float64Array.from(images, ({ probability }) => probability),
  });
  return rows.flatMap((row) => {
    const image = images[row];
    if (image === undefined) return [];
    const { key, label, predicted, probability } = image;
    return [{ key, label, predicted, probability }];
  });
}

function notesOf({ images, leftOut }: JoinedScores, scores: EvaluatedScores, unknown: number): string[] {
  const left = leftOutSentence(leftOut);
  const without = withoutProbability(images);
  const known = images.length - unknown;
  const right = images.filter(({ correct }) => correct).length;
  const share =
    known === 0 ? "" : `; of the other ${known} images ${((100 * right) / known).toFixed(1)} % are right`;
  return [
    ...(left === undefined ? [] : [`${left}.`]),
    ...(unknown === 0
      ? []
      : [
          `The model called ${unknown === 1 ? "1 image unknown, which counts" : `${unknown} images unknown, which count`} as wrong${share}.`,
          "Log loss and calibration error ignore what was called unknown: they measure the probabilities of all images.",
        ]),
    ...(without === 0
      ? []
      : [
          `Log loss is not given: the scores hold the likeliest classes only, and those of ${without} images lack the true one. Score with --top ${scores.classes.length} for it.`,
        ]),
    "The figures say how good the model is on other images only if it was not trained on these.",
  ];
}

async function* linesOf(
  images: readonly LabelledAnswer[],
  others: ReadonlyMap<string, Answer> | undefined,
): AsyncGenerator<Uint8Array> {
  const linesAtOnce = 1000;
  for (let start = 0; start < images.length; start += linesAtOnce) {
    const lines = images.slice(start, start + linesAtOnce).map((image) => {
      const row: EvaluationRow = { key: image.key, label: image.label, ...plain(image) };
      if (others !== undefined) {
        const other = others.get(image.key);
        row.other = other === undefined ? null : plain(other);
      }
      return `${JSON.stringify(row)}\n`;
    });
    yield await Promise.resolve(Buffer.from(lines.join(""), "utf8"));
  }
}

function plain({ predicted, probability, probabilityOfLabel, correct }: Answer) {
  return { predicted, probability, probabilityOfLabel, correct };
}

/** Another process may have been first; what it wrote is kept. */
async function commit(
  store: ObjectStore,
  key: string,
  evaluation: ModelEvaluation,
): Promise<ModelEvaluation> {
  const json = { contentType: "application/json" };
  try {
    await writeWithMarker(store, key, jsonFile(evaluation), {}, json);
    return evaluation;
  } catch (thrown) {
    if (!isOtherContent(thrown)) throw thrown;
    return parseJsonAs(modelEvaluation, (await readWithMarker(store, key)).bytes, key);
  }
}
