import { openStore, someOf, TrommelError } from "@trommel/common";
import { errorLine, generationOutput, labelLookup, type ModelEvaluation } from "@trommel/common/artefacts";
import { parseJsonLines } from "@trommel/common/parse";
import { readBounds, readIfThere } from "@trommel/common/store";
import type { LabelTable } from "@trommel/common";
import type { EvaluatedScores } from "@trommel/common/worker-commands";
import { answerOf, readScoreRows, type LabelledAnswer } from "./answers.js";

export interface JoinedScores {
  /** In listing order. */
  readonly images: readonly LabelledAnswer[];
  readonly leftOut: ModelEvaluation["leftOut"];
}

/**
 * Joins the rows of a scoring with labels. Keys are the same on both sides; labels and the model's classes match in Unicode NFC.
 * @param table null where folders label
 * @param unmatched labels that belong to no image
 * @throws TrommelError `bad-dataset` if no image is left
 */
export async function joinLabels(
  scores: EvaluatedScores,
  table: LabelTable | null,
  unmatched: number,
  signal: AbortSignal,
): Promise<JoinedScores> {
  const labelOf = labelLookup(table);
  const classOf = classesByName(scores.classes);
  const images: LabelledAnswer[] = [];
  const others = new Map<string, number>();
  let unlabelled = 0;
  for await (const row of readScoreRows(scores, signal)) {
    const given = labelOf(row.key);
    const label = given === undefined ? undefined : classOf.get(given.normalize("NFC"));
    if (given === undefined) unlabelled += 1;
    else if (label === undefined) others.set(given, (others.get(given) ?? 0) + 1);
    else images.push({ key: row.key, label, ...answerOf(row, label) });
  }
  const otherLabels = [...others].map(([label, count]) => ({ label, images: count }));
  const labelledRows = images.length + otherLabels.reduce((sum, other) => sum + other.images, 0);
  const notScored =
    unmatched + (table === null ? await failedWithFolder(scores) : table.labels.length - labelledRows);
  const leftOut = { unlabelled, otherLabels, notScored };
  if (images.length === 0) throw nothingLeft(scores, leftOut);
  return { images, leftOut };
}

/** The model's classes by their names in NFC. */
export function classesByName(classes: readonly string[]): Map<string, string> {
  return new Map(classes.map((name) => [name.normalize("NFC"), name]));
}

/** Images that failed and lie in a folder, which labels them. */
async function failedWithFolder({ location, generation }: EvaluatedScores): Promise<number> {
  const output = openStore(location);
  try {
    const key = generationOutput(generation).failedImages;
    const body = await readIfThere(output, key, readBounds.dataset);
    const labelOf = labelLookup(null);
    const lines = parseJsonLines(errorLine, body ?? new Uint8Array(), key);
    return lines.filter(({ key }) => labelOf(key) !== undefined).length;
  } finally {
    output.close();
  }
}

function nothingLeft({ location, classes }: EvaluatedScores, leftOut: JoinedScores["leftOut"]): TrommelError {
  const why = leftOutSentence(leftOut) ?? "it has no row";
  return new TrommelError(
    "bad-dataset",
    `cannot evaluate ${location}: no scored image has a label that the model knows (${someOf(classes)}). ${why}. Give the labels with --labels, or put the images into a folder per class`,
    { context: { scores: location } },
  );
}

/** What has no part in the figures, in one sentence without its full stop; undefined if everything has. */
export function leftOutSentence(leftOut: ModelEvaluation["leftOut"]): string | undefined {
  const { unlabelled, otherLabels, notScored } = leftOut;
  const other = otherLabels.reduce((sum, { images }) => sum + images, 0);
  const named = otherLabels
    .slice(0, 5)
    .map(({ label, images }) => `${JSON.stringify(label)} ${images}`)
    .join(", ");
  const more = otherLabels.length > 5 ? `, and ${otherLabels.length - 5} more labels` : "";
  const parts = [
    ...(unlabelled > 0 ? [`${counted(unlabelled, "scored image")} without a label`] : []),
    ...(other > 0
      ? [`${counted(other, "image")} of labels that the model does not know (${named}${more})`]
      : []),
    ...(notScored > 0 ? [`${counted(notScored, "labelled image")} without a score`] : []),
  ];
  return parts.length === 0 ? undefined : `Left out: ${parts.join("; ")}`;
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}
