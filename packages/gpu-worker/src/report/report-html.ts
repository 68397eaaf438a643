import { backboneId, type BundleManifest, type Ledger, type Metrics } from "@trommel/common";
import { figureTable, paragraphs } from "./figure-sections.js";
import { renderReportPage, section, type MisclassifiedExample, type ReportFact } from "./report-page.js";

export interface ReportInputs {
  readonly manifest: BundleManifest;
  readonly metrics: Metrics;
  readonly ledger: Ledger;
  /** In reading order. */
  readonly misclassified?: readonly MisclassifiedExample[];
}

/** `report.html` of a bundle: what was trained on what, how it went and how good it is. See {@link renderReportPage}. */
export function renderReport({ manifest, metrics, ledger, misclassified }: ReportInputs): string {
  return renderReportPage({
    title: `Training ${manifest.run}`,
    facts: [...bundleFacts(manifest), ...refitFacts(metrics)],
    metrics,
    honesty: honesty(metrics),
    ledger: ledgerCounts(ledger),
    ...(misclassified === undefined ? {} : { misclassified }),
  });
}

/** What was chosen on the images of the first figures, and the figures of images on which nothing was. */
function honesty({ chosenBy, notes, validation, chosenApart, test }: Metrics): string {
  const columns = [
    ...(validation === null ? [] : [{ heading: "validation part", figures: validation }]),
    ...(chosenApart === null
      ? []
      : [{ heading: "the same, epoch chosen on other images", figures: chosenApart }]),
    ...(test === null ? [] : [{ heading: "test part", figures: test }]),
  ];
  const sentences = [
    ...(chosenBy === "" ? [] : [chosenBy]),
    ...(test === null ? [] : [`Nothing was fitted or chosen on the ${test.images} images of the test part.`]),
    ...notes,
  ];
  if (columns.length === 0) return paragraphs(sentences);
  const ranges =
    "The range after a figure holds the true value in 95 of 100 cases, if nothing was chosen on its images.";
  return paragraphs([...sentences, ranges]) + section("Figures", figureTable(columns));
}

export function bundleFacts(manifest: BundleManifest): ReportFact[] {
  const { backbones, input, recipe, versions } = manifest;
  return [
    { name: "run", value: manifest.run },
    { name: "recipe", value: `${recipe.name}, seed ${recipe.seed}` },
    ...backbones.map((backbone, index) => ({
      name: backbones.length === 1 ? "backbone" : `backbone ${index + 1}`,
      value: `${backboneId(backbone)}: ${backbone.inputSize} pixels to ${grouped(backbone.dimension)} numbers`,
    })),
    { name: "normalisation", value: normalisation(manifest) },
    { name: "input", value: `${input.side} × ${input.side} pixels, ${input.decode.fit}` },
    ...trainingFacts(manifest),
    ...Object.entries(manifest.hashes).map(([name, hash]) => ({ name: `sha256 of ${name}`, value: hash })),
    {
      name: "versions",
      value: Object.entries(versions)
        .map(([name, version]) => `${name} ${version}`)
        .join(", "),
    },
  ];
}

/** How the head was trained. */
function trainingFacts(manifest: BundleManifest): ReportFact[] {
  const { data, recipe, ensemble } = manifest;
  const images = `${grouped(data.trainImages)}, ${grouped(data.trainRows)} rows with their views`;
  const unreadable = { name: "unreadable images", value: grouped(data.failedImages) };
  if (ensemble !== null) {
    const { head, heads, temperature } = ensemble;
    return [
      { name: "labelled images", value: images },
      unreadable,
      {
        name: "head",
        value: `${settings(head)}; ${heads === 1 ? "one, trained once more on all images" : `${heads} of them, their logits averaged`}`,
      },
      { name: "temperature", value: temperature.toFixed(3) },
    ];
  }
  return [
    { name: "training images", value: images },
    { name: "validation images", value: grouped(data.validationImages) },
    ...testFacts(data.classes),
    unreadable,
    { name: "components", value: components(manifest) },
    { name: "head", value: settings(recipe.head) },
    {
      name: "optimiser",
      value: `${settings(recipe.training.optimizer)}, batch ${recipe.training.batchSize}`,
    },
    { name: "schedule", value: settings(recipe.training.schedule) },
    { name: "kept epoch", value: keepRules[recipe.training.keep] },
  ];
}

function testFacts(classes: BundleManifest["data"]["classes"]): ReportFact[] {
  const images = classes.reduce((sum, { test }) => sum + test, 0);
  return images === 0 ? [] : [{ name: "test images", value: grouped(images) }];
}

/** "dataset: mean 171.25 164.60 153.01, deviation 51.10 50.97 54.08" */
function normalisation({ recipe, backbones }: BundleManifest): string {
  const asked = recipe.normalization;
  const how = typeof asked === "object" ? "given" : asked;
  const rounded = (values: readonly number[]): string => values.map((value) => value.toFixed(2)).join(" ");
  const figures = backbones.map(
    ({ normalization: { mean, deviation } }) => `mean ${rounded(mean)}, deviation ${rounded(deviation)}`,
  );
  return `${how}: ${[...new Set(figures)].join("; ")}`;
}

const keepRules = {
  accuracy: "the one with the best validation accuracy, the later on a tie",
  balancedAccuracy: "the one with the best validation balanced accuracy, the later on a tie",
  macroF1: "the one with the best validation macro F1, the later on a tie",
  loss: "the one with the least validation loss, the later on a tie",
  last: "the last",
};

function refitFacts({ refit, bestEpoch }: Metrics): ReportFact[] {
  if (refit === null) return [];
  const value = `${bestEpoch} epochs on all images, ${grouped(refit.rows)} rows with their views`;
  return [{ name: "refit", value }];
}

function components({ svd, backbones }: BundleManifest): string {
  const dimension = backbones.reduce((sum, backbone) => sum + backbone.dimension, 0);
  if (svd === null) return `all ${grouped(dimension)}, no SVD`;
  return `${grouped(svd.components)} of ${grouped(dimension)}, ${(100 * svd.energyKept).toFixed(1)} % of the energy`;
}

/** "se, dropout 0.5, reduction 16" */
function settings(recipe: { readonly type: string }): string {
  const others = Object.entries(recipe).filter(([name]) => name !== "type");
  return [recipe.type, ...others.map(([name, value]) => `${name} ${String(value)}`)].join(", ");
}

export function ledgerCounts(ledger: Ledger): Record<string, number> {
  const { listed, ok, failed, skipped } = ledger;
  const reasons = (kind: string, counts: Readonly<Record<string, number>>) =>
    Object.entries(counts).map(([reason, count]) => [`${kind}: ${reason}`, count] as const);
  return {
    listed,
    ok,
    failed,
    ...Object.fromEntries(reasons("failed", ledger.failedByReason)),
    skipped,
    ...Object.fromEntries(reasons("skipped", ledger.skippedByReason)),
  };
}

/** 12345 as "12,345". */
function grouped(count: number): string {
  return String(count).replaceAll(/\B(?=(?:\d{3})+$)/g, ",");
}
