import type { HeadRecipe, HeadWeights, TrainingRecipe } from "@trommel/common";
import type { HeadLearner } from "./head-learner.js";
import { keepsLater, type ValidationFigures } from "./keep-rule.js";
import { predictProbabilities } from "./model/predict-head.js";
import type { RowSet } from "./model/row-set.js";

/**
 * An epoch that is chosen on the validation rows flatters on them. So they are divided into parts, and for each part the
 * epoch is kept that the rows of the other parts choose, by the recipe's own rule.
 */

/** The epoch that the rows outside of one part have chosen so far. */
export interface EpochOfPart {
  readonly epoch: number;
  /** On the rows outside of the part. */
  readonly figures: ValidationFigures;
  readonly weights: HeadWeights;
}

const mostParts = 5;

export class EpochApart {
  readonly #keep: TrainingRecipe["keep"];
  readonly #partOf: Int32Array;
  readonly #others: readonly RowSet[];
  #chosen: readonly EpochOfPart[];

  /** @param chosen by the epochs before, if a training is continued */
  constructor(validation: RowSet, keep: TrainingRecipe["keep"], chosen: readonly EpochOfPart[] = []) {
    this.#keep = keep;
    this.#partOf = partsOf(validation.labels);
    const count = Math.min(mostParts, validation.labels.length);
    this.#others = Array.from({ length: count }, (_, part) =>
      selectRows(validation, (row) => this.#partOf[row] !== part),
    );
    this.#chosen = chosen;
  }

  get chosen(): readonly EpochOfPart[] {
    return this.#chosen;
  }

  /** @param weights of the learner as it is */
  async epochEnded(epoch: number, learner: HeadLearner, weights: () => HeadWeights): Promise<void> {
    const chosen: EpochOfPart[] = [];
    for (const [part, rows] of this.#others.entries()) {
      const figures = await learner.validate(rows);
      const before = this.#chosen[part];
      const isKept = before === undefined || keepsLater(this.#keep, figures, before.figures);
      chosen.push(isKept ? { epoch, figures, weights: weights() } : before);
    }
    this.#chosen = chosen;
  }

  /** What every validation row gets from the epoch of its part. @returns [rows, classes] */
  probabilities(head: HeadRecipe, { features, labels }: RowSet): Float32Array {
    const width = features.length / labels.length;
    const parts = this.#chosen.map(({ weights }, part) => {
      const rows = Array.from(labels.keys()).filter((row) => this.#partOf[row] === part);
      const own = selectRows({ features, labels }, (row) => this.#partOf[row] === part);
      return { rows, found: predictProbabilities(head, weights, own.features, rows.length) };
    });
    const classCount = (parts[0]?.found.length ?? 0) / (parts[0]?.rows.length ?? 1);
    const all = new Float32Array((features.length / width) * classCount);
    for (const { rows, found } of parts) {
      for (const [at, row] of rows.entries())
        all.set(found.subarray(at * classCount, (at + 1) * classCount), row * classCount);
    }
    return all;
  }
}

/** The part of each row: the rows of a class are dealt in turn, and the next class begins where the last one ended. */
function partsOf(labels: Int32Array): Int32Array {
  const byClass = Array.from(labels.keys()).sort(
    (a, b) => (labels[a] as number) - (labels[b] as number) || a - b,
  );
  const partOf = new Int32Array(labels.length);
  for (const [turn, row] of byClass.entries()) partOf[row] = turn % mostParts;
  return partOf;
}

function selectRows({ features, labels }: RowSet, isWanted: (row: number) => boolean): RowSet {
  const width = features.length / labels.length;
  const rows = Array.from(labels.keys()).filter(isWanted);
  const selected = new Float32Array(rows.length * width);
  for (const [at, row] of rows.entries())
    selected.set(features.subarray(row * width, (row + 1) * width), at * width);
  return { features: selected, labels: Int32Array.from(rows, (row) => labels[row] as number) };
}
