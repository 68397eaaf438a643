import {
  openStore,
  outputKeys,
  parseJsonAs,
  TrommelError,
  type ObjectStore,
  type ScoreRow,
} from "@trommel/common";
import {
  labelChangesAtMost,
  partsOf,
  scoringSuccess,
  type PartSpan,
  type ScoreDifference,
  type ScoreDifferences,
} from "@trommel/common/artefacts";
import { EntryTable } from "@trommel/common/codec";
import { readBounds, readIfThere } from "@trommel/common/store";
import { readScoreRows } from "../../evaluation/answers.js";

/** Two finished scorings of the same images. */
export interface ComparedScorings {
  /** The earlier one, as `rescoreOf` names it. */
  readonly before: { readonly scoring: string; readonly output: string };
  /** The output and the current parts of the later one. */
  readonly after: { readonly location: string; readonly parts: PartSpan[] };
}

/** Lines that are written at once. */
const linesAtOnce = 1000;

/**
 * Joins two scorings by key: a line for each image that has another label, in the order of the later one, and their counts once all lines
 * are taken. It holds some 30 bytes for each row of the earlier one, and no key.
 */
export class Differences {
  readonly #compared: ComparedScorings;
  readonly #signal: AbortSignal;
  #counts: ScoreDifferences | undefined;

  constructor(compared: ComparedScorings, signal: AbortSignal) {
    this.#compared = compared;
    this.#signal = signal;
  }

  /** @throws TrommelError `conflict` where the earlier scoring is not complete any more, `corrupt` for a part that is not as its marker says */
  async *lines(): AsyncGenerator<Uint8Array> {
    const { before, after } = this.#compared;
    const { success, rows } = await this.#readBefore();
    const changes = new Map<string, { before: string; after: string; images: number }>();
    const counts = { inBoth: 0, same: 0, different: 0, onlyAfter: 0 };
    let waiting: string[] = [];
    for await (const { key, label, probability } of readScoreRows(after, this.#signal)) {
      const earlier = rows.find(key);
      if (earlier === undefined) {
        counts.onlyAfter += 1;
        continue;
      }
      counts.inBoth += 1;
      if (earlier.label === label) {
        counts.same += 1;
        continue;
      }
      counts.different += 1;
      const pair = JSON.stringify([earlier.label, label]);
      const change = changes.get(pair) ?? { before: earlier.label, after: label, images: 0 };
      change.images += 1;
      changes.set(pair, change);
      const line: ScoreDifference = { key, before: earlier, after: { label, probability } };
      waiting.push(`${JSON.stringify(line)}\n`);
      if (waiting.length < linesAtOnce) continue;
      yield Buffer.from(waiting.join(""));
      waiting = [];
    }
    if (waiting.length > 0) yield Buffer.from(waiting.join(""));
    const sorted = [...changes.values()].sort(byImages);
    this.#counts = {
      formatVersion: 1,
      before: {
        ...before,
        generation: success.generation?.number ?? 0,
        ...{ retries: success.retries, model: success.model },
      },
      ...counts,
      onlyBefore: rows.count - counts.inBoth,
      changes: sorted.slice(0, labelChangesAtMost),
      otherChanges: sorted.slice(labelChangesAtMost).reduce((sum, { images }) => sum + images, 0),
    };
  }

  /** @throws Error before all lines are taken */
  counts(): ScoreDifferences {
    if (this.#counts === undefined) throw new Error("the differences are not read to their end");
    return this.#counts;
  }

  async #readBefore() {
    const { scoring, output: location } = this.#compared.before;
    const output = openStore(location);
    try {
      const success = await readSuccess(output, scoring);
      const rows = new LabelledRows(success.rows);
      const parts = partsOf(success);
      for await (const row of readScoreRows({ location, parts }, this.#signal)) rows.add(row);
      return { success, rows };
    } finally {
      output.close();
    }
  }
}

async function readSuccess(output: ObjectStore, scoring: string) {
  const body = await readIfThere(output, outputKeys.success, readBounds.document);
  const success =
    body === undefined ? undefined : parseJsonAs(scoringSuccess, body, `${output.url}/${outputKeys.success}`);
  if (success?.scoring === scoring) return success;
  throw new TrommelError(
    "conflict",
    `cannot compare with ${scoring}: ${output.url} has no ${outputKeys.success} of it, so it is not complete any more. Resume it, and then this scoring`,
    { context: { scoring } },
  );
}

/** The most frequent first; a tie by the labels, so that the same scores give the same bytes. */
function byImages(
  a: { before: string; after: string; images: number },
  b: { before: string; after: string; images: number },
): number {
  if (a.images !== b.images) return b.images - a.images;
  const [left, right] = [JSON.stringify([a.before, a.after]), JSON.stringify([b.before, b.after])];
  return left < right ? -1 : left > right ? 1 : 0;
}

/** Label and probability of many rows, found by key. */
class LabelledRows {
  readonly #table: EntryTable;
  /** The number of each row's label among `#names`. */
  readonly #labels: Uint32Array;
  readonly #probabilities: Float64Array;
  readonly #numbers = new Map<string, number>();
  readonly #names: string[] = [];

  constructor(rows: number) {
    this.#table = new EntryTable(rows);
    this.#labels = new Uint32Array(rows);
    this.#probabilities = new Float64Array(rows);
  }

  get count(): number {
    return this.#table.count;
  }

  /** @throws TrommelError `corrupt` for more rows than there are */
  add({ key, label, probability }: Pick<ScoreRow, "key" | "label" | "probability">): void {
    const row = this.#table.count;
    if (row >= this.#labels.length)
      throw new TrommelError(
        "corrupt",
        `cannot compare scores: the parts of the earlier scoring have more than the ${this.#labels.length} rows that its ${outputKeys.success} counts`,
      );
    this.#table.add(key);
    let number = this.#numbers.get(label);
    if (number === undefined) {
      number = this.#names.push(label) - 1;
      this.#numbers.set(label, number);
    }
    this.#labels[row] = number;
    this.#probabilities[row] = probability;
  }

  find(key: string): { readonly label: string; readonly probability: number } | undefined {
    const row = this.#table.find(key);
    if (row === undefined) return undefined;
    return {
      label: this.#names[this.#labels[row] ?? 0] ?? "",
      probability: this.#probabilities[row] ?? 0,
    };
  }
}
