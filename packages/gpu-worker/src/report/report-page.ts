import type { Metrics } from "@trommel/common";
import { confusionChart } from "./confusion-chart.js";
import { escapeHtml, htmlTable, type Cell } from "./html.js";
import { reportStyle } from "./report-style.js";
import { trainingChart } from "./training-chart.js";

/** A line of the facts table: run id, recipe, backbones with hashes, data counts, versions. */
export interface ReportFact {
  readonly name: string;
  readonly value: string;
}

/** A validation image that was taken for another class. */
export interface MisclassifiedExample {
  readonly key: string;
  readonly label: string;
  readonly predicted: string;
  /** The probability of the predicted class. */
  readonly probability: number;
}

export interface ReportPageInputs {
  readonly title: string;
  readonly facts: readonly ReportFact[];
  readonly metrics: Metrics;
  /** HTML between the first figures and the rest: how far to trust them. */
  readonly honesty?: string;
  /** The ledger's counts by name, in reading order. */
  readonly ledger?: Readonly<Record<string, number>>;
  /** In reading order. */
  readonly misclassified?: readonly MisclassifiedExample[];
}

/**
 * A report as one HTML page that needs nothing else: no network, no script, charts as inline SVG. Readable
 * on light and dark screens and on paper. Every name is escaped. The same inputs give the same bytes.
 */
export function renderReportPage(inputs: ReportPageInputs): string {
  const { title, facts, metrics } = inputs;
  const sections = [
    headline(metrics),
    inputs.honesty ?? "",
    section("This run", facts.length === 0 ? "" : pairTable(facts.map(({ name, value }) => [name, value]))),
    section("Training", trainingSection(metrics)),
    section("Confusion matrix", confusionSection(metrics)),
    section("Classes", classTable(metrics)),
    section("Confused most often", confusedPairs(metrics)),
    section("Misclassified images", misclassifiedTable(inputs.misclassified ?? [])),
    section("Ledger", inputs.ledger === undefined ? "" : ledgerTable(inputs.ledger)),
  ];
  return page(title, sections);
}

/** A page of sections, of which empty ones are left out. */
export function page(title: string, sections: readonly string[]): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escapeHtml(title)}</title>
<style>${reportStyle}</style>
</head>
<body>
<main>
<h1>${escapeHtml(title)}</h1>
${sections.filter((part) => part !== "").join("\n")}
</main>
</body>
</html>
`;
}

export function section(heading: string, content: string): string {
  return content === "" ? "" : `<section>\n<h2>${escapeHtml(heading)}</h2>\n${content}\n</section>`;
}

function headline(metrics: Metrics): string {
  return figureList([
    ["accuracy", percent(metrics.accuracy)],
    ["macro F1", metrics.macroF1.toFixed(3)],
    ["log loss", metrics.logLoss.toFixed(3)],
    ["validation images", String(metrics.rows)],
    ["kept epoch", `${metrics.bestEpoch} of ${metrics.history.length}`],
  ]);
}

/** The figures that a page begins with. */
export function figureList(figures: readonly (readonly [name: string, value: string])[]): string {
  const items = figures.map(
    ([name, value]) => `<div><dt>${escapeHtml(name)}</dt><dd>${escapeHtml(value)}</dd></div>`,
  );
  return `<dl class="figures">${items.join("")}</dl>`;
}

function trainingSection(metrics: Metrics): string {
  if (metrics.history.length === 0) return "";
  const notes = [
    `The dashed line is epoch ${metrics.bestEpoch}, whose weights are kept.`,
    ...refitNote(metrics),
  ];
  const paragraphs = notes.map((note) => `<p class="note">${escapeHtml(note)}</p>`);
  return trainingChart(metrics) + paragraphs.join("");
}

function refitNote({ refit }: Metrics): string[] {
  const last = refit?.history.at(-1);
  if (last === undefined) return [];
  return [
    `Then the head was trained again for ${last.epoch} epochs on all images, those of the validation too, to a training ` +
      `loss of ${last.trainLoss.toFixed(3)}. Every figure on this page is from before that: afterwards nothing is left ` +
      "to measure the head on.",
  ];
}

function confusionSection(metrics: Metrics): string {
  if (metrics.perClass.length === 0) return "";
  const note =
    '<p class="note">True classes down, predicted ones across. Blue is right, red is wrong; the stronger, the larger the share of the true class.</p>';
  return `<div class="scroll">${confusionChart(metrics)}</div>${note}`;
}

function classTable(metrics: Metrics): string {
  const headings = [text("class"), ...["images", "precision", "recall", "F1"].map(number)];
  const rows = metrics.perClass.map(({ label, support, precision, recall, f1 }) => [
    text(label),
    number(String(support)),
    precision === null ? { ...number("–"), title: "never predicted" } : number(percent(precision)),
    recall === null ? { ...number("–"), title: "no validation image" } : number(percent(recall)),
    number(f1.toFixed(3)),
  ]);
  return htmlTable(headings, rows);
}

/** The ten pairs of classes that are mistaken most often; ties in label order. */
function confusedPairs({ confusion, perClass }: Metrics): string {
  const pairs = confusion.flatMap((counts, i) => {
    return counts.map((count, j) => ({ count, i, j })).filter(({ count, j }) => count > 0 && i !== j);
  });
  pairs.sort((a, b) => b.count - a.count || a.i - b.i || a.j - b.j);
  if (pairs.length === 0) return "";
  const label = (index: number) => text(perClass[index]?.label ?? "");
  const rows = pairs.slice(0, 10).map(({ count, i, j }) => {
    return [
      label(i),
      label(j),
      number(String(count)),
      number(percent(count / (perClass[i]?.support ?? count))),
    ];
  });
  return htmlTable(
    [text("true class"), text("taken for"), number("images"), number("share of the class")],
    rows,
  );
}

function misclassifiedTable(examples: readonly MisclassifiedExample[]): string {
  if (examples.length === 0) return "";
  const rows = examples.map(({ key, label, predicted, probability }) => {
    return [text(key), text(label), text(predicted), number(percent(probability))];
  });
  return htmlTable([text("image"), text("true class"), text("predicted"), number("probability")], rows);
}

function ledgerTable(ledger: Readonly<Record<string, number>>): string {
  return pairTable(Object.entries(ledger).map(([name, count]) => [name, String(count)]));
}

export function pairTable(pairs: readonly (readonly [string, string])[]): string {
  return htmlTable(
    [],
    pairs.map(([name, value]) => [text(name), text(value)]),
  );
}

export function text(value: string): Cell {
  return { text: value };
}

export function number(value: string): Cell {
  return { text: value, numeric: true };
}

export function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}
