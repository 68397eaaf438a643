import type { BundleManifest, Ledger } from "@trommel/common";
import type { Choice, Estimate, MeasuredFigures } from "@trommel/common/artefacts";
import { confusionChart } from "./confusion-chart.js";
import { learningCurveChart, recallChart, reliabilityChart } from "./fold-charts.js";
import { escapeHtml, htmlTable, type Cell } from "./html.js";
import { bundleFacts, ledgerCounts } from "./report-html.js";
import { figureList, number, page, pairTable, percent, section, text } from "./report-page.js";

export interface FoldReportInputs {
  readonly manifest: BundleManifest;
  readonly choice: Choice;
  readonly ledger: Ledger;
  /** The worst mistakes with their pictures; empty if there is none. */
  readonly gallery: string;
}

/** `report.html` of a run with `head: auto`: how good it is on images that it never saw, and how sure that is. */
export function renderFoldReport({ manifest, choice, ledger, gallery }: FoldReportInputs): string {
  const { outOfFold, test } = choice;
  return page(`Training ${manifest.run}`, [
    headline(outOfFold),
    paragraphs([
      choice.chosenBy,
      `Each of the ${outOfFold.images} images was predicted by heads that never saw it, a copy of it, or a member of its group. The range after a figure holds the true value in 95 of 100 cases.`,
      ...mirrorNote(choice),
      ...choice.notes,
    ]),
    section("Figures", figureTable(outOfFold, test)),
    section("Are the probabilities right?", reliabilitySection(outOfFold)),
    section("Classes", recallChart(outOfFold) + classTable(outOfFold)),
    section("Confusion matrix", `<div class="scroll">${confusionChart(outOfFold)}</div>`),
    section("The worst mistakes", gallery),
    section("Would more photographs help?", curveSection(choice)),
    section("Candidates", candidateTable(choice)),
    section("This run", pairTable(bundleFacts(manifest).map(({ name, value }) => [name, value]))),
    section(
      "Ledger",
      pairTable(Object.entries(ledgerCounts(ledger)).map(([name, count]) => [name, String(count)])),
    ),
  ]);
}

function mirrorNote({ alone, outOfFold }: Choice): string[] {
  if (alone === null) return [];
  const { accuracy, logLoss } = outOfFold;
  return [
    `The model averages over each image and its mirror image, which takes twice the time. The image alone has accuracy ${percent(alone.accuracy)} and log loss ${alone.logLoss.toFixed(3)}, both together ${percent(accuracy.value)} and ${logLoss.value.toFixed(3)}.`,
  ];
}

function headline({
  accuracy,
  balancedAccuracy,
  logLoss,
  expectedCalibrationError,
  images,
}: MeasuredFigures): string {
  return figureList([
    ["accuracy", share(accuracy)],
    ["balanced accuracy", share(balancedAccuracy)],
    ["log loss", plain(logLoss)],
    ["calibration error", share(expectedCalibrationError)],
    ["images", String(images)],
  ]);
}

const meanings = {
  accuracy: "share of the images whose class is right",
  balancedAccuracy: "the same for every class, then the mean: small classes count as much as large ones",
  macroF1: "mean over the classes of the F1, which joins precision and recall",
  logLoss: "how wrong and how sure; 0 is perfect",
  expectedCalibrationError: "how far a stated probability is from how often it is right",
} as const;

function figureTable(outOfFold: MeasuredFigures, test: MeasuredFigures | null): string {
  const headings = [
    text("figure"),
    number("out of fold"),
    ...(test === null ? [] : [number("test part")]),
    text("meaning"),
  ];
  const rows = (Object.keys(meanings) as (keyof typeof meanings)[]).map((name) => {
    const show = name === "logLoss" ? plain : share;
    const cells = [outOfFold, ...(test === null ? [] : [test])].map((figures) => number(show(figures[name])));
    return [
      text(name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)),
      ...cells,
      text(meanings[name]),
    ];
  });
  return htmlTable(headings, rows);
}

function classTable({ perClass }: MeasuredFigures): string {
  const cell = (value: Estimate | null, none: string): Cell =>
    value === null ? { ...number("–"), title: none } : number(share(value));
  return htmlTable(
    [text("class"), number("images"), number("precision"), number("recall")],
    perClass.map(({ label, support, precision, recall }) => [
      text(label),
      number(String(support)),
      cell(precision, "never predicted"),
      cell(recall, "no image"),
    ]),
  );
}

function reliabilitySection(figures: MeasuredFigures): string {
  const note =
    "Images in order of the probability that the model gives its answer, in groups of the same size. On the dashed line an answer with 80 % is right in 80 of 100 cases; below it the model is too sure of itself.";
  return reliabilityChart(figures) + paragraphs([note]);
}

function curveSection({ learningCurve }: Choice): string {
  if (learningCurve === null) return "";
  const rows = learningCurve.points.map(({ images, accuracy }) => [
    number(String(Math.round(images))),
    number(percent(accuracy)),
  ]);
  const table = htmlTable(
    [number("images trained on"), number(`accuracy of ${learningCurve.candidate}`)],
    rows,
  );
  return paragraphs([learningCurve.sentence]) + learningCurveChart(learningCurve) + table;
}

function candidateTable({ candidates }: Choice): string {
  return htmlTable(
    [text("candidate"), ...["accuracy", "balanced accuracy", "macro F1", "log loss"].map(number), text("")],
    candidates.map(({ name, penalty, accuracy, balancedAccuracy, macroF1, logLoss, chosen }) => [
      text(penalty === null ? name : `${name}, penalty ${penalty}`),
      number(percent(accuracy)),
      number(percent(balancedAccuracy)),
      number(macroF1.toFixed(3)),
      number(logLoss.toFixed(3)),
      text(chosen ? "chosen" : ""),
    ]),
  );
}

function paragraphs(sentences: readonly string[]): string {
  return sentences.map((sentence) => `<p>${escapeHtml(sentence)}</p>`).join("");
}

/** "91.2 % (89.8 to 92.5)" */
function share({ value, low, high }: Estimate): string {
  return `${percent(value)} (${(100 * low).toFixed(1)} to ${(100 * high).toFixed(1)})`;
}

function plain({ value, low, high }: Estimate): string {
  return `${value.toFixed(3)} (${low.toFixed(3)} to ${high.toFixed(3)})`;
}
