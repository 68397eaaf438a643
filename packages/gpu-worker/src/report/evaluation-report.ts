import { rivalOf, verdictOf, type Comparison, type ModelEvaluation } from "@trommel/common/artefacts";
import { confusionChart } from "./confusion-chart.js";
import {
  classTable,
  differenceTable,
  figureTable,
  headline,
  paragraphs,
  reliabilitySection,
} from "./figure-sections.js";
import { recallChart } from "./fold-charts.js";
import { htmlTable } from "./html.js";
import { number, page, pairTable, section, text } from "./report-page.js";

/**
 * `evaluation.html`: how good a model is on labelled images, and how sure that is.
 * @param shown.gallery the worst mistakes with their pictures; empty without any
 * @param shown.storeUrl location of the store, whose runs are called by their ids
 */
export function renderEvaluation(
  evaluation: ModelEvaluation,
  { gallery, storeUrl }: { readonly gallery: string; readonly storeUrl: string },
): string {
  const { figures, labels, model, source, scores, comparison, notes, unknown } = evaluation;
  const confusion = {
    confusion: figures.confusion,
    perClass: labels.map((label) => ({ label })),
  };
  return page("Evaluation", [
    headline(figures),
    paragraphs([
      `${figures.images} labelled images. The range after a figure holds the true value in 95 of 100 cases.`,
      ...notes,
    ]),
    section("Figures", figureTable([{ heading: "on these images", figures }])),
    section("Are the probabilities right?", reliabilitySection(figures)),
    section("Classes", recallChart(figures) + classTable(figures)),
    section("Confusion matrix", `<div class="scroll">${confusionChart(confusion)}</div>`),
    section("The worst mistakes", gallery + unknownNote(unknown)),
    section(
      "The other model",
      comparison === null
        ? ""
        : comparisonSection(comparison, {
            rival: rivalOf(evaluation, comparison, storeUrl),
            verdict: verdictOf(evaluation, comparison),
          }),
    ),
    section(
      "This evaluation",
      pairTable([
        ["model", model.location],
        ["sha256 of model.onnx", model.modelSha256],
        ["images", source],
        ["scores", scores],
      ]),
    ),
  ]);
}

function unknownNote(unknown: number): string {
  if (unknown === 0) return "";
  return paragraphs([
    `Images that the model called unknown (${unknown}) are not shown here, although they count as wrong: the worst mistakes are answers that the model was sure of.`,
  ]);
}

/** @param words what is compared with, and what the comparison says */
function comparisonSection(
  comparison: Comparison,
  words: { readonly rival: string; readonly verdict: string },
): string {
  const { first, second, bothRight, onlyFirstRight, onlySecondRight, bothWrong, changed } = comparison;
  const counts = htmlTable(
    [text(""), number("other right"), number("other wrong")],
    [
      [text("this right"), number(String(bothRight)), number(String(onlyFirstRight))],
      [text("this wrong"), number(String(onlySecondRight)), number(String(bothWrong))],
    ],
  );
  const columns = [
    { heading: "this model", figures: first },
    { heading: "other model", figures: second },
  ];
  const images = htmlTable(
    ["image", "true class", "this model", "other model"].map(text),
    changed.map((row) => [text(row.key), text(row.label), text(row.first), text(row.second)]),
  );
  const differing = onlyFirstRight + onlySecondRight;
  const shown = changed.length < differing ? ` The first ${changed.length} of ${differing}:` : "";
  return [
    paragraphs([`${words.rival}, on the same ${first.images} images.`]),
    figureTable(columns),
    differenceTable(comparison.difference),
    counts,
    paragraphs([
      words.verdict,
      ...(changed.length === 0 ? [] : [`Images that only one of them gets right.${shown}`]),
    ]),
    changed.length === 0 ? "" : images,
  ].join("\n");
}
