import type { BundleManifest, Ledger } from "@trommel/common";
import type { Choice } from "@trommel/common/artefacts";
import { servedFlips } from "@trommel/common/recipe";
import { confusionChart } from "./confusion-chart.js";
import {
  classTable,
  figureTable,
  headline,
  paragraphs,
  reliabilitySection,
  type FigureColumn,
} from "./figure-sections.js";
import { learningCurveChart, recallChart } from "./fold-charts.js";
import { htmlTable } from "./html.js";
import { bundleFacts, ledgerCounts } from "./report-html.js";
import { trustSection } from "./trust-section.js";
import { tuningSection, type TunedByFolds, type TuningCurves } from "./tuning/tuning-section.js";
import { number, page, pairTable, percent, section, text } from "./report-page.js";

export interface FoldReportInputs {
  readonly manifest: BundleManifest;
  readonly choice: Choice;
  readonly ledger: Ledger;
  /** How the backbone was tuned; null if it was not. */
  readonly tuning: TuningCurves | TunedByFolds | null;
  /** The worst mistakes with their pictures; empty without any. */
  readonly gallery: string;
}

/** `report.html` of a run with `head: auto`: how good it is on images that it never saw, and how sure that is. */
export function renderFoldReport({ manifest, choice, ledger, tuning, gallery }: FoldReportInputs): string {
  const { outOfFold } = choice;
  return page(`Training ${manifest.run}`, [
    headline(outOfFold),
    paragraphs([
      choice.chosenBy,
      `Each of the ${outOfFold.images} images was predicted by heads that never saw it, a copy of it, or a member of its group.${divisionsNote(manifest)} The range after a figure holds the true value in 95 of 100 cases.`,
      ...viewsNote(choice, manifest),
      ...choice.notes,
    ]),
    section("Figures", figureTable(columnsOf(choice))),
    section("How the backbone was tuned", tuning === null ? "" : tuningSection(tuning)),
    section("Are the probabilities right?", reliabilitySection(outOfFold)),
    section("Classes", recallChart(outOfFold) + classTable(outOfFold)),
    section("When to trust an answer", trustSection(choice)),
    section("Confusion matrix", `<div class="scroll">${confusionChart(outOfFold)}</div>`),
    section("The worst mistakes", gallery),
    section("Would more photographs help?", curveSection(choice)),
    section("Candidates", candidateTable(choice)),
    section("This run", pairTable(runFacts(manifest, choice))),
    section(
      "Ledger",
      pairTable(Object.entries(ledgerCounts(ledger)).map(([name, count]) => [name, String(count)])),
    ),
  ]);
}

/** Why an image's probabilities are of several heads. */
function divisionsNote({ ensemble }: BundleManifest): string {
  const repeats = ensemble?.repeats ?? 1;
  if (repeats === 1) return "";
  return ` The images were divided into folds ${repeats} times, differently each time: the logits of an image are the mean of those of ${repeats} heads, and the model averages all ${ensemble?.heads}.`;
}

function runFacts(manifest: BundleManifest, { grouping }: Choice): (readonly [string, string])[] {
  const facts = bundleFacts(manifest).map(({ name, value }) => [name, value] as const);
  if (grouping === null) return facts;
  const { by, groups, images, alone } = grouping;
  const without = alone === 0 ? "" : `, ${alone} images in none`;
  return [...facts, ["groups", `by ${by}: ${images} images in ${groups}${without}`]];
}

function columnsOf({ outOfFold, test }: Choice): FigureColumn[] {
  const held = { heading: "out of fold", figures: outOfFold };
  return test === null ? [held] : [held, { heading: "test part", figures: test }];
}

function viewsNote({ alone, outOfFold }: Choice, { recipe }: BundleManifest): string[] {
  if (alone === null) return [];
  const { accuracy, logLoss } = outOfFold;
  const flips = servedFlips(recipe);
  return [
    `The model averages over each image and ${flips.length === 1 ? "a flip" : `${flips.length} flips`} of it (${flips.join(", ")}), which takes ${flips.length + 1} times the time. Accuracy ${change(percent(alone.accuracy), percent(accuracy.value), accuracy.value - alone.accuracy)}, and log loss ${change(alone.logLoss.toFixed(3), logLoss.value.toFixed(3), alone.logLoss - logLoss.value)}.`,
  ];
}

/** What became of a figure of the image alone. @param gain above zero if the model is better for it */
function change(alone: string, together: string, gain: number): string {
  if (alone === together) return `stays the same by that, ${alone}`;
  return `gets ${gain > 0 ? "better" : "worse"} by that, from ${alone} of the image alone to ${together}`;
}

function curveSection({ learningCurve, candidates }: Choice): string {
  if (learningCurve === null) return "";
  const rows = learningCurve.points.map(({ images, accuracy }) => [
    number(String(Math.round(images))),
    number(percent(accuracy)),
  ]);
  const table = htmlTable(
    [number("images trained on"), number(`accuracy of ${learningCurve.candidate}`)],
    rows,
  );
  const { candidate, sentence } = learningCurve;
  const hasPenalties = candidates.some(({ name, penalty }) => name === candidate && penalty !== null);
  const note = `The curve is of the simplest candidate, ${candidate}${hasPenalties ? ", at one penalty" : ""}: its last point may differ from the accuracy above, which is that of the candidate chosen.`;
  return paragraphs([sentence, note]) + learningCurveChart(learningCurve) + table;
}

function candidateTable({ candidates }: Choice): string {
  return htmlTable(
    [text("candidate"), ...["accuracy", "balanced accuracy", "macro F1", "log loss"].map(number), text("")],
    candidates.map(({ name, penalty, repeats, accuracy, balancedAccuracy, macroF1, logLoss, chosen }) => [
      text(
        [
          name,
          ...(penalty === null ? [] : [`penalty ${penalty}`]),
          ...(repeats === 1 ? [] : [`${repeats} divisions`]),
        ].join(", "),
      ),
      number(percent(accuracy)),
      number(percent(balancedAccuracy)),
      number(macroF1.toFixed(3)),
      number(logLoss.toFixed(3)),
      text(chosen ? "chosen" : ""),
    ]),
  );
}
