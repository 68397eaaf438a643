import type { Comparison, Estimate, ModelEvaluation } from "@trommel/common/artefacts";
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
import { number, page, pairTable, percent, section, text } from "./report-page.js";

/**
 * `evaluation.html`: how good a model is on labelled images, and how sure that is.
 * @param gallery the worst mistakes with their pictures; empty without any
 */
export function renderEvaluation(evaluation: ModelEvaluation, gallery: string): string {
  const { figures, labels, model, source, scores, comparison, notes } = evaluation;
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
    section("The worst mistakes", gallery),
    section("The other model", comparison === null ? "" : comparisonSection(comparison)),
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

function comparisonSection(comparison: Comparison): string {
  const { first, second, model, bothRight, onlyFirstRight, onlySecondRight, bothWrong, changed } = comparison;
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
    paragraphs([`The other model is ${model.location}, on the same ${first.images} images.`]),
    figureTable(columns),
    differenceTable(comparison.difference),
    counts,
    paragraphs([
      verdict(comparison),
      ...(changed.length === 0 ? [] : [`Images that only one of them gets right.${shown}`]),
    ]),
    changed.length === 0 ? "" : images,
  ].join("\n");
}

/** What McNemar's test says, in a sentence. */
function verdict({ onlyFirstRight, onlySecondRight, test, difference }: Comparison): string {
  const p = test.pValue < 0.001 ? "below 0.001" : test.pValue.toFixed(3);
  const counts = `This model alone is right on ${onlyFirstRight} images, the other alone on ${onlySecondRight}; if both erred equally often, a division at least so uneven would have probability ${p} (McNemar's test).`;
  if (test.pValue >= 0.05) return `${counts} That may be chance.`;
  const better = onlyFirstRight > onlySecondRight ? "This model" : "The other model";
  return `${counts} ${better} is better on images such as these${by(difference.accuracy)}.`;
}

function by(difference: Estimate | null): string {
  return difference === null ? "" : `, by ${percent(Math.abs(difference.value))} of them`;
}
