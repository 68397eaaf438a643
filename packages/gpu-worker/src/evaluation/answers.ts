import { openStore, readWithMarker, type ObjectStore, type ScoreRow } from "@trommel/common";
import { PartList, scoreRow, type EvaluatedAnswer } from "@trommel/common/artefacts";
import { parseJsonLines } from "@trommel/common/parse";
import { range, readAhead } from "@trommel/common/store";
import type { EvaluatedScores } from "@trommel/common/worker-commands";

/** What a model says of an image whose label is known. */
export interface Answer extends EvaluatedAnswer {
  /** The likeliest class. It is the predicted one unless the model called the image unknown. */
  readonly likeliest: string;
}

export interface LabelledAnswer extends Answer {
  readonly key: string;
  readonly label: string;
}

/** Parts that are read at once. */
const partsAtOnce = 4;

/** The rows of a finished scoring in listing order; of failed files that were tried again, at the end. */
export async function* readScoreRows(
  { location, parts }: Pick<EvaluatedScores, "location" | "parts">,
  signal: AbortSignal,
): AsyncGenerator<ScoreRow> {
  const output = openStore(location);
  try {
    const list = new PartList(parts);
    const read = (place: number): Promise<ScoreRow[]> => readPart(output, list.key(place, "jsonl"));
    for await (const rows of readAhead(range(0, list.length), partsAtOnce, read)) {
      signal.throwIfAborted();
      yield* rows;
    }
  } finally {
    output.close();
  }
}

async function readPart(output: ObjectStore, key: string): Promise<ScoreRow[]> {
  const { bytes } = await readWithMarker(output, key);
  return parseJsonLines(scoreRow, bytes, `${output.url}/${key}`);
}

/** @param label as the model writes it */
export function answerOf({ label: predicted, top }: ScoreRow, label: string): Answer {
  const [first] = top;
  return {
    predicted,
    probability: first?.probability ?? 0,
    probabilityOfLabel: top.find((other) => other.label === label)?.probability ?? null,
    correct: predicted === label,
    likeliest: first?.label ?? predicted,
  };
}
