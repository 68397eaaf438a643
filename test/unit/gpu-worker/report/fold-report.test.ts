import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { recipe, type BundleManifest, type Ledger } from "@trommel/common";
import type { Choice, MeasuredFigures } from "@trommel/common/artefacts";
import { renderFoldReport } from "#gpu-worker/report/fold-report";

const hostile = `<script>alert("x")</script>&'`;
const e = (value: number) => ({ value, low: value - 0.02, high: value + 0.02 });

const figures = (labels: readonly string[]): MeasuredFigures => ({
  images: 200,
  accuracy: e(0.9),
  balancedAccuracy: e(0.88),
  macroF1: e(0.87),
  logLoss: e(0.31),
  expectedCalibrationError: e(0.03),
  perClass: labels.map((label, at) => ({
    label,
    support: at === 2 ? 0 : 100,
    precision: at === 1 ? null : e(0.8),
    recall: at === 2 ? null : e(0.7 + at / 10),
  })),
  confusion: labels.map((_, i) => labels.map((_, j) => (i === j ? 90 : 5))),
  reliability: [
    { images: 100, confidence: 0.6, accuracy: 0.55 },
    { images: 100, confidence: 0.95, accuracy: 0.97 },
  ],
});

function choiceOf(labels: string[], test: boolean): Choice {
  return {
    formatVersion: 1,
    labels,
    folds: 5,
    candidates: [
      {
        name: "linear",
        penalty: 0.1,
        repeats: 1,
        accuracy: 0.86,
        balancedAccuracy: 0.84,
        macroF1: 0.84,
        logLoss: 0.4,
        chosen: false,
      },
      {
        name: "mlp",
        penalty: null,
        repeats: 3,
        accuracy: 0.9,
        balancedAccuracy: 0.88,
        macroF1: 0.87,
        logLoss: 0.31,
        chosen: true,
      },
    ],
    head: { type: "linear", dropout: 0, bias: true },
    heads: "folds",
    temperature: 1.25,
    outOfFold: figures(labels),
    alone: test ? { accuracy: 0.85, logLoss: 0.36 } : null,
    test: test ? figures(labels) : null,
    learningCurve: {
      candidate: "mlp",
      points: [
        { share: 0.5, images: 80, accuracy: 0.85 },
        { share: 1, images: 160, accuracy: 0.9 },
      ],
      sentence: "More photographs may help.",
    },
    mistakes: [],
    grouping: { by: 'the column "site"', groups: 7, images: 180, alone: 20 },
    chosenBy: "mlp was chosen among 2 candidates.",
    thresholds: {
      precision: 0.95,
      perClass: labels.map((label, index) => ({
        label,
        threshold: index === 2 ? null : 0.625,
        precision: index === 2 ? null : 0.9625,
        coverage: index === 2 ? null : 0.5,
        accepted: [30, 12, 0][index] ?? 0,
      })),
    },
    testNovelty: test ? { above: 0.99, share: 0.025 } : null,
    contradictions: null,
    notes: ["There are 3 folds instead of 5."],
  };
}

const ledger: Ledger = {
  formatVersion: 1,
  listed: 201,
  ok: 200,
  failed: 1,
  skipped: 0,
  balanced: true,
  failedByReason: { truncated: 1 },
  skippedByReason: {},
  shards: 1,
};

function manifestOf(labels: string[]): BundleManifest {
  const written = recipe.parse({
    backbones: ["net"],
    views: { flips: ["horizontal", "vertical"] },
    serving: { views: ["identity", "horizontal", "vertical"] },
  });
  return {
    formatVersion: 1,
    run: "first",
    labels,
    input: {
      ...{ name: "pixels", type: "uint8", side: 224, channelOrder: "rgb" },
      ...{ decode: written.decode, decodeVersion: 1 },
    },
    output: { name: "probabilities", type: "float32", classes: labels.length },
    recipe: written,
    backbones: [],
    svd: null,
    ensemble: { head: { type: "linear", dropout: 0, bias: true }, heads: 15, repeats: 3, temperature: 1.25 },
    novelty: null,
    thresholds: null,
    golden: null,
    contradictions: null,
    hashes: {},
    versions: {},
    data: {
      images: 201,
      trainImages: 200,
      validationImages: 200,
      failedImages: 1,
      trainRows: 1200,
      classes: [],
    },
    metrics: {
      rows: 200,
      accuracy: 0.9,
      macroF1: 0.87,
      logLoss: 0.31,
      measured: "out-of-fold",
      chosenBy: "",
      chosenApart: null,
      test: null,
    },
  };
}

function pageOf(labels: string[], test = false, gallery = ""): string {
  return renderFoldReport({
    ...{ manifest: manifestOf(labels), choice: choiceOf(labels, test), ledger, gallery },
    tuning: null,
  });
}

describe("the report of a run on folds", () => {
  const labels = ["glass", "metal", "paper"];

  it("tells when to trust an answer, and of which class there is no such probability", () => {
    const page = pageOf(labels, true);
    assert.match(
      page,
      /glass<\/td><td[^>]*>0.625<\/td><td[^>]*>96.3 %<\/td><td[^>]*>30<\/td><td[^>]*>50.0 %/,
    );
    assert.match(page, /Fewer than 20 answers were accepted of metal/);
    assert.match(page, /No probability of paper is right in 95 of 100 cases/);
    assert.match(page, /2.5 % of the test part are more novel than 99 % of the training images/);
  });

  it("gives every figure with its interval, and what chose the model", () => {
    const page = pageOf(labels);
    for (const words of [
      "90.0 % (88.0 to 92.0)",
      "0.310 (0.290 to 0.330)",
      ">macro F1<",
      "mlp was chosen among 2 candidates.",
      "There are 3 folds instead of 5.",
      "More photographs may help.",
      "The curve is of the simplest candidate, mlp: its last point may differ from the accuracy above",
      "over the classes that have images; one without is left out, even if it is predicted",
      "by the column &#34;site&#34;: 180 images in 7, 20 images in none",
      "linear, penalty 0.1",
      "15 of them, their logits averaged",
      "divided into folds 3 times, differently each time: the logits of an image are the mean of those of 3 heads, and the model averages all 15",
      "mlp, 3 divisions",
    ])
      assert.ok(page.includes(words), words);
    assert.ok(!page.includes("test part</th>"));
    assert.match(pageOf(labels, true), />test part</);
    assert.match(
      pageOf(labels, true),
      /2 flips of it \(horizontal, vertical\), which takes 3 times.*Accuracy gets better by that, from 85\.0 % of the image alone to 90\.0 %, and log loss gets better by that, from 0\.360 of the image alone to 0\.310/,
    );
  });

  it("has a section of mistakes where there are any", () => {
    assert.match(pageOf(labels, false, "<p>pictures</p>"), /<h2>The worst mistakes<\/h2>\s*<p>pictures<\/p>/);
    assert.ok(!pageOf(labels).includes("The worst mistakes"));
  });

  it("draws calibration, classes and the learning curve, without anything from elsewhere", () => {
    const page = pageOf(labels);
    for (const name of [
      "Stated probability against",
      "Recall of 2 classes",
      "Accuracy with 80, 160 training images",
    ])
      assert.ok(page.includes(`aria-label="${name}`), name);
    assert.doesNotMatch(page, /<script|<link|<img|src="http/);
    assert.equal(pageOf(labels), page);
  });

  it("escapes every name", () => {
    const page = pageOf([hostile, "metal", "paper"]);
    assert.ok(!page.includes("<script"));
    assert.ok(page.includes("&#60;script&#62;"));
  });
});
