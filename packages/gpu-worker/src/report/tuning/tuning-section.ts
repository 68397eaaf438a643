import type { RoundFigures } from "@trommel/common/artefacts";
import type { TuneRecipe } from "@trommel/common/recipe";
import { paragraphs } from "../figure-sections.js";
import { htmlTable } from "../html.js";
import { number, percent } from "../report-page.js";
import { tuningChart, type TunedRounds } from "./tuning-chart.js";

/** How the backbone of a run was tuned. */
export interface TuningCurves extends TunedRounds {
  readonly keep: TuneRecipe["keep"];
}

/** The runs that tuned the networks of a model, one for each fold. */
export interface TunedByFolds {
  readonly foldRuns: readonly string[];
}

/** Loss and accuracy of every round, and what the held-out images among them have chosen; or which runs have those. */
export function tuningSection(tuned: TuningCurves | TunedByFolds): string {
  return "foldRuns" in tuned ? paragraphs(inRunsOfTheFolds(tuned)) : curvesSection(tuned);
}

function inRunsOfTheFolds({ foldRuns }: TunedByFolds): string[] {
  return [
    `The networks were tuned in runs of their own, one for each fold: ${foldRuns.join(", ")}. Their reports have loss and accuracy of every round.`,
    `The figures out of fold are of one network for each image. The mean of all ${foldRuns.length}, which the model gives, is better as a rule, and only a test part measures it. Novelty is that of the first network.`,
  ];
}

function curvesSection(curves: TuningCurves): string {
  const { figures, keptRound } = curves;
  const heldOut = figures[keptRound]?.heldOut ?? null;
  return (
    paragraphs([
      heldOut === null ? onAllImages : whatTheyChose(curves, heldOut.images),
      "The training curve is of the images as they were drawn, with smoothed and mixed targets: it may lie above the held-out one.",
    ]) +
    tuningChart(curves) +
    epochTable(figures)
  );
}

const onAllImages =
  "This network was tuned on every image that is not in the test part, so nothing here says how good it is on new ones: the figures above are those of the networks of the folds.";

function whatTheyChose({ keptRound, keep, figures }: TuningCurves, images: number): string {
  const kept =
    keep === "last"
      ? `The network is that of the last of ${figures.length} rounds.`
      : `The network is that of round ${keptRound + 1} of ${figures.length}, with the ${keep === "loss" ? "least loss" : "best accuracy"} on the held-out images.`;
  const chosen = keep === "last" ? "the head and the temperature" : "the round, the head and the temperature";
  return `${kept} Tuning never saw the ${images} held-out images, but they chose ${chosen}: their figures may flatter, and those of the test part do not.`;
}

/** The figures after every epoch. */
function epochTable(figures: readonly RoundFigures[]): string {
  const rows = figures
    .filter(({ epoch }, at) => figures[at + 1]?.epoch !== epoch)
    .map(({ epoch, training, heldOut }) => [
      number(String(epoch)),
      ...[training, heldOut].flatMap((of) => [
        number(of === null ? "" : of.loss.toFixed(3)),
        number(of === null ? "" : percent(of.accuracy)),
      ]),
    ]);
  const headings = ["epoch", "training loss", "training accuracy", "held-out loss", "held-out accuracy"];
  return htmlTable(headings.map(number), rows);
}
