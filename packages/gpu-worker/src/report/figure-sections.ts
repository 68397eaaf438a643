import type { Comparison, Estimate, EvaluatedFigures } from "@trommel/common/artefacts";
import { reliabilityChart } from "./fold-charts.js";
import { escapeHtml, htmlTable, type Cell } from "./html.js";
import { figureList, number, percent, text } from "./report-page.js";

/** What the reports of runs and of evaluations share: figures with their intervals. */

/** The figures that a page begins with. */
export function headline({
  accuracy,
  balancedAccuracy,
  logLoss,
  expectedCalibrationError,
  images,
}: EvaluatedFigures): string {
  return figureList([
    ["accuracy", share(accuracy)],
    ["balanced accuracy", share(balancedAccuracy)],
    ...(logLoss === null ? [] : [["log loss", plain(logLoss)] as const]),
    ["calibration error", share(expectedCalibrationError)],
    ["images", String(images)],
  ]);
}

const meanings = {
  accuracy: "share of the images whose class is right",
  balancedAccuracy:
    "the same for every class that has images, then the mean: small classes count as much as large ones",
  macroF1:
    "mean of the F1, which joins precision and recall, over the classes that have images; one without is left out, even if it is predicted",
  logLoss: "how wrong and how sure; 0 is perfect",
  expectedCalibrationError: "how far a stated probability is from how often it is right",
} as const;

/** Figures to show next to others. */
export interface FigureColumn {
  readonly heading: string;
  readonly figures: EvaluatedFigures;
}

/** The figures of a whole classifier, what each means, and a column for each part that they were measured on. */
export function figureTable(columns: readonly FigureColumn[]): string {
  const headings = [text("figure"), ...columns.map(({ heading }) => number(heading)), text("meaning")];
  const rows = (Object.keys(meanings) as FigureName[]).map((name) => [
    text(wordsOf(name)),
    ...columns.map(({ figures }) => number(showFigure(name, figures[name]))),
    text(meanings[name]),
  ]);
  return htmlTable(headings, rows);
}

/** What a second classifier's figures are above the first's. */
export function differenceTable(difference: Comparison["difference"]): string {
  const show = (name: FigureName): string => {
    const found = difference[name];
    if (found === null) return "–";
    const [scale, digits, unit] = name === "logLoss" ? [1, 3, ""] : [100, 1, " percentage points"];
    const [value, low, high] = [found.value, found.low, found.high].map((of) => signed(scale * of, digits));
    return `${value}${unit} (${low} to ${high})`;
  };
  return htmlTable(
    [text("figure"), number("the other's above this one's")],
    (Object.keys(meanings) as FigureName[]).map((name) => [text(wordsOf(name)), number(show(name))]),
  );
}

/** With a sign, but for a zero. */
function signed(value: number, digits: number): string {
  const shown = Math.abs(value).toFixed(digits);
  if (Number(shown) === 0) return shown;
  return `${value < 0 ? "−" : "+"}${shown}`;
}

type FigureName = keyof typeof meanings;

/** "balancedAccuracy" as "balanced accuracy", "macroF1" as "macro F1". */
function wordsOf(name: FigureName): string {
  return name.replace(/[A-Z]\d?/g, (start) => ` ${start.length === 1 ? start.toLowerCase() : start}`);
}

function showFigure(name: FigureName, value: Estimate | null): string {
  if (value === null) return "–";
  return name === "logLoss" ? plain(value) : share(value);
}

export function classTable({ perClass }: Pick<EvaluatedFigures, "perClass">): string {
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

export function reliabilitySection(figures: Pick<EvaluatedFigures, "reliability">): string {
  const note =
    "Images in order of the probability that the model gives its answer, in groups of the same size. On the dashed line an answer with 80 % is right in 80 of 100 cases; below it the model is too sure of itself.";
  return reliabilityChart(figures) + paragraphs([note]);
}

/** Every sentence as a paragraph. */
export function paragraphs(sentences: readonly string[]): string {
  return sentences.map((sentence) => `<p>${escapeHtml(sentence)}</p>`).join("");
}

/** "91.2 % (89.8 to 92.5)" */
function share({ value, low, high }: Estimate): string {
  return `${percent(value)} (${(100 * low).toFixed(1)} to ${(100 * high).toFixed(1)})`;
}

function plain({ value, low, high }: Estimate): string {
  return `${value.toFixed(3)} (${low.toFixed(3)} to ${high.toFixed(3)})`;
}
