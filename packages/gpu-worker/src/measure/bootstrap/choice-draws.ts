import { chosenOutcome, type ChooseCandidateInput } from "../choice/choose-candidate.js";
import { numberGroups, type Groups } from "../groups.js";
import { drawCounts } from "./draw-counts.js";
import { DrawnCandidate, type FittedCandidate } from "./drawn-candidate.js";
import { FigureDraws } from "./drawn-figures.js";
import { columnsWith, figureColumns } from "./figure-columns.js";

export interface DrawnChoices {
  /** The figures of each draw's choice on the draw. */
  readonly drawn: FigureDraws;
  /** By how much the choice flatters those figures, in the mean: columns. */
  readonly flattery: Float64Array;
  /** In how many draws each candidate was chosen. */
  readonly chosenInDraws: readonly number[];
}

/** Repeats the choice among candidates on bootstrap draws. */
export class ChoiceDraws {
  readonly #input: ChooseCandidateInput;
  readonly #groups: Groups;
  readonly #candidates: readonly DrawnCandidate[];
  /** The candidate that all images choose. */
  readonly chosen: number;
  /** Its figures on all images. */
  readonly figures: Float64Array;

  constructor(input: ChooseCandidateInput) {
    const { candidates, labels, classCount, foldOf, folds, groupOf } = input;
    this.#input = input;
    this.#groups = numberGroups(labels.length, groupOf);
    this.#candidates = candidates.map(
      (logits) => new DrawnCandidate({ logits, labels, classCount, foldOf, folds }),
    );
    const weights = new Float64Array(labels.length).fill(1);
    const fitted = this.#fit(weights);
    this.chosen = this.#choose(fitted, weights);
    this.figures = figureColumns((fitted[this.chosen] as FittedCandidate).predictions());
  }

  run(draws: number, seed: number): DrawnChoices {
    const drawn = new FigureDraws(draws, this.#input.classCount);
    const flattery = new FigureDraws(draws, this.#input.classCount);
    const chosenInDraws = this.#candidates.map(() => 0);
    for (let draw = 0; draw < draws; draw += 1) {
      const weights = drawCounts(this.#groups, seed, draw);
      const fitted = this.#fit(weights);
      const index = this.#choose(fitted, weights);
      chosenInDraws[index] = (chosenInDraws[index] as number) + 1;
      drawn.set(draw, figureColumns((fitted[index] as FittedCandidate).predictions(), weights));
      if (index === this.chosen) continue;
      const ofChoice = this.#aboveLeftOut(fitted[index] as FittedCandidate, weights);
      const ofChance = this.#aboveLeftOut(fitted[this.chosen] as FittedCandidate, weights);
      flattery.set(
        draw,
        ofChoice.map((value, column) => value - (ofChance[column] as number)),
      );
    }
    return { drawn, flattery: flattery.means(), chosenInDraws };
  }

  #fit(weights: Float64Array): FittedCandidate[] {
    return this.#candidates.map((candidate) => candidate.on(weights));
  }

  #choose(fitted: readonly FittedCandidate[], weights: Float64Array): number {
    const { labels, classCount, criterion = "logLoss" } = this.#input;
    return chosenOutcome(fitted, criterion, { labels, classCount, weights, groups: this.#groups });
  }

  /** What the figures of a draw's images are above those of the images it left out. Zero for the calibration error. */
  #aboveLeftOut({ predicted, losses }: FittedCandidate, weights: Float64Array): Float64Array {
    const { labels, classCount } = this.#input;
    const predictions = { labels, classCount, predicted, losses };
    const leftOut = weights.map((weight) => (weight === 0 ? 1 : 0));
    const outside = columnsWith(predictions, leftOut, 0);
    return columnsWith(predictions, weights, 0).map((value, column) => value - (outside[column] as number));
  }
}
