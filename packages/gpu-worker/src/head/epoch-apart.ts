import type { HeadRecipe, HeadWeights, TrainingRecipe } from "@trommel/common";
import { predictedClasses } from "../measure/classes.js";
import { figuresOfRule, keepsLater, type ValidationFigures } from "./keep-rule.js";
import { figuresOfLogarithms } from "./model/cross-entropy.js";
import { predictProbabilities } from "./model/predict-head.js";
import { selectRows, type RowSet } from "./model/row-set.js";

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

interface EpochApartOptions {
  readonly validation: RowSet;
  /** The group of each validation row; the rows of a group are in one part. @default each row is its own group */
  readonly groupOf?: Int32Array | undefined;
  readonly classCount: number;
  readonly training: Pick<TrainingRecipe, "keep" | "labelSmoothing">;
  /** By the epochs before, if a training is continued. */
  readonly chosen?: readonly EpochOfPart[] | undefined;
}

export class EpochApart {
  readonly #options: EpochApartOptions;
  readonly #partOf: Int32Array;
  /** Those of the rows outside of each part. */
  readonly #labels: readonly Int32Array[];
  readonly #losses: Float64Array;
  readonly #classes: Int32Array;
  #chosen: readonly EpochOfPart[];

  constructor(options: EpochApartOptions) {
    const { labels } = options.validation;
    this.#options = options;
    this.#partOf = partsOf(labels, options.groupOf ?? Int32Array.from(labels.keys()));
    const count = new Set(this.#partOf).size;
    this.#labels = Array.from({ length: count }, (_, part) => this.#others(part, labels));
    this.#losses = new Float64Array(labels.length);
    this.#classes = new Int32Array(labels.length);
    this.#chosen = options.chosen ?? [];
  }

  /** Empty if all rows are one group, since then none are left to choose. */
  get chosen(): readonly EpochOfPart[] {
    return this.#chosen;
  }

  /** Takes what a validation of an epoch found. @param logarithms log-probabilities of the rows from `start` on */
  validated(start: number, logarithms: Float32Array): void {
    const { validation, classCount, training } = this.#options;
    const classes = predictedClasses(Float64Array.from(logarithms), classCount);
    this.#classes.set(classes, start);
    for (let row = 0; row < classes.length; row += 1) {
      const own = logarithms.subarray(row * classCount, (row + 1) * classCount);
      const label = validation.labels.subarray(start + row, start + row + 1);
      this.#losses[start + row] = figuresOfLogarithms(own, label, classCount, training.labelSmoothing).loss;
    }
  }

  /** Chooses again after all rows were validated. @param weights of the epoch */
  epochEnded(epoch: number, weights: () => HeadWeights): void {
    if (this.#labels.length < 2) return;
    this.#chosen = this.#labels.map((labels, part) => {
      const figures = this.#figures(part, labels);
      const before = this.#chosen[part];
      const isKept = before === undefined || keepsLater(this.#options.training.keep, figures, before.figures);
      return isKept ? { epoch, figures, weights: weights() } : before;
    });
  }

  /** What every validation row gets from the epoch of its part. @returns [rows, classes] */
  probabilities(head: HeadRecipe): Float32Array {
    const { validation, classCount } = this.#options;
    const all = new Float32Array(validation.labels.length * classCount);
    for (const [part, { weights }] of this.#chosen.entries()) {
      const rows = Array.from(this.#partOf.keys()).filter((row) => this.#partOf[row] === part);
      const found = predictProbabilities(head, weights, selectRows(validation, rows).features, rows.length);
      for (const [at, row] of rows.entries())
        all.set(found.subarray(at * classCount, (at + 1) * classCount), row * classCount);
    }
    return all;
  }

  #figures(part: number, labels: Int32Array): ValidationFigures {
    const { classCount, training } = this.#options;
    const classes = this.#others(part, this.#classes);
    const losses = this.#others(part, this.#losses);
    const hits = classes.filter((found, at) => found === labels[at]).length;
    return {
      validationLoss: losses.reduce((sum, loss) => sum + loss, 0) / labels.length,
      validationAccuracy: hits / labels.length,
      ...figuresOfRule(training.keep, () => classes, labels, classCount),
    };
  }

  #others<Values extends Int32Array | Float64Array>(part: number, values: Values): Values {
    return values.filter((_, row) => this.#partOf[row] !== part) as Values;
  }
}

/** The part of each row: the groups of a class are dealt in turn, and the next class begins where the last one ended. */
function partsOf(labels: Int32Array, groupOf: Int32Array): Int32Array {
  const first = new Map<number, number>();
  for (const [row, group] of groupOf.entries()) if (!first.has(group)) first.set(group, row);
  const dealt = [...first.values()].sort((a, b) => (labels[a] as number) - (labels[b] as number) || a - b);
  const partOfGroup = new Map(dealt.map((row, turn) => [groupOf[row], turn % mostParts]));
  return groupOf.map((group) => partOfGroup.get(group) as number);
}
