import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { recipe, trainingRecipe, type BundleManifest, type Ledger, type Metrics } from "@trommel/common";
import { renderReport } from "#gpu-worker/report/report-html";
import { renderReportPage } from "#gpu-worker/report/report-page";
import fc from "fast-check";

const hostile = `<script>alert("1")</script>&'`;
const escaped = "&#60;script&#62;alert(&#34;1&#34;)&#60;/script&#62;&#38;&#39;";

describe("report", () => {
  it("shows the figures, the facts, the ledger and each class", () => {
    const page = renderReportPage({
      title: "TrashNet",
      facts: [{ name: "recipe", value: "default" }],
      metrics: metricsOf(["glass", "可回收物/易拉罐", "trash"]),
      ledger: { listed: 12, failed: 1 },
      misclassified: [{ key: "a/ü.jpg", label: "glass", predicted: "trash", probability: 0.875 }],
    });
    const text = page.replaceAll(/<style>[^]*?<\/style>|<[^>]*>/g, "|").replaceAll(/[|\s]*\|[|\s]*/g, "|");
    for (const expected of [
      "|accuracy|75.0 %|",
      "|log loss|0.500|",
      "|kept epoch|2 of 3|",
      "|recipe|default|",
      "|listed|12|failed|1|",
      "|glass|6|75.0 %|50.0 %|0.600|",
      "|trash|2|–|0.0 %|0.000|",
      "|glass|可回收物/易拉罐|3|50.0 %|",
      "|a/ü.jpg|glass|trash|87.5 %|",
    ]) {
      assert.ok(text.includes(expected), `${expected} is missing in ${text}`);
    }
  });

  it("draws the curves and the matrix as inline pictures, with the counts in the cells", () => {
    const page = renderReportPage({ title: "t", facts: [], metrics: metricsOf(["a", "b", "c"]) });
    const pictures = page.match(/<svg[^]*?<\/svg>/g) ?? [];
    assert.equal(pictures.length, 2);
    const words = (picture: string | undefined) =>
      [...(picture ?? "").matchAll(/<text[^>]*>([^<]*)</g)].map((m) => m[1]);
    for (const word of ["Loss", "Accuracy", "Learning rate", "Training", "Validation", "epoch"]) {
      assert.ok(words(pictures[0]).includes(word), word);
    }
    for (const word of ["true", "predicted", "a", "b", "c", "3", "4", "1"]) {
      assert.ok(words(pictures[1]).includes(word), word);
    }
  });

  it("says what was chosen on the validation images, and shows the figures of a test part next to theirs", () => {
    const e = (value: number) => ({ value, low: value - 0.02, high: value + 0.02 });
    const figures = (images: number, accuracy: number) => ({
      ...{ images, accuracy: e(accuracy), balancedAccuracy: e(0.7), macroF1: e(0.6) },
      ...{ logLoss: e(0.5), expectedCalibrationError: e(0.05), perClass: [], confusion: [], reliability: [] },
    });
    const ledger: Ledger = {
      ...{
        formatVersion: 1,
        listed: 12,
        ok: 12,
        failed: 0,
        skipped: 0,
        failedByReason: {},
        skippedByReason: {},
      },
    } as unknown as Ledger;
    const textOf = (given: Partial<Metrics>) =>
      renderReport({ manifest, metrics: { ...metricsOf(["a", "b", "c"]), ...given }, ledger })
        .replaceAll(/<style>[^]*?<\/style>|<[^>]*>/g, "|")
        .replaceAll(/[|\s]*\|[|\s]*/g, "|");
    const chosenBy = "Epoch 2 of 3 was chosen on the 12 images, so the figures on them flatter.";
    const alone = textOf({ chosenBy, validation: figures(12, 0.75) });
    assert.ok(alone.includes(`|${chosenBy}|`));
    assert.ok(alone.includes("|accuracy|75.0 % (73.0 to 77.0)|share of"), alone);
    assert.ok(!alone.includes("test part"));
    const both = textOf({
      ...{ chosenBy, validation: figures(12, 0.75), test: figures(31, 0.625) },
      notes: ["2 of the 33 images of the test part are left out."],
    });
    for (const expected of [
      "|Nothing was fitted or chosen on the 31 images of the test part.|2 of the 33 images",
      "|figure|validation part|test part|meaning|",
      "|accuracy|75.0 % (73.0 to 77.0)|62.5 % (60.5 to 64.5)|",
      "|expected calibration error|5.0 % (3.0 to 7.0)|",
    ])
      assert.ok(both.includes(expected), `${expected} is missing in ${both}`);
  });

  it("needs no network and no script, and lets no name become markup", () => {
    const page = renderReportPage({
      title: hostile,
      facts: [{ name: hostile, value: hostile }],
      metrics: metricsOf([hostile, "b", "c"]),
      ledger: { [hostile]: 1 },
      misclassified: [{ key: hostile, label: hostile, predicted: hostile, probability: 1 }],
    });
    assert.ok(!/<script|<img|<link|<iframe|javascript:|\son\w+=/i.test(page));
    const addresses = new Set(page.match(/(?:https?:)?\/\/[\w.]+[^\s"'<>]*/g));
    addresses.delete("http://www.w3.org/2000/svg");
    addresses.delete("http://www.w3.org/1999/xlink");
    assert.deepEqual([...addresses], []);
    assert.ok(!/\b(?:src|href)=|url\((?!#)|@import/.test(page.replaceAll(/xlink:href="#/g, "")));
    assert.ok(page.includes(`<h1>${escaped}</h1>`) && page.includes(`<td>${escaped}</td>`));
  });

  it("has no other tags whatever run, recipe, labels, files and reasons are called", () => {
    const tagsOf = (word: string): Set<string> => {
      const metrics = metricsOf([word, "b", "c"]);
      const page = renderReport({
        manifest: {
          ...manifest,
          run: word,
          recipe: { ...manifest.recipe, name: word },
          hashes: { [word]: word },
          versions: { [word]: word },
        },
        metrics,
        ledger: { ...ledger, failedByReason: { [word]: 1 }, skippedByReason: { [word]: 1 } },
        misclassified: [{ key: word, label: word, predicted: word, probability: 1 }],
      });
      const tags = [...page.matchAll(/<[^>]*>/g)];
      return new Set(tags.map(([tag]) => tag.replaceAll(/ [\w:-]+="[^"<>]*"/g, "")));
    };
    const plain = tagsOf("plain");
    const pieces = [
      "<script>",
      "</script>",
      "</td>",
      "</title>",
      "</style>",
      "<!--",
      "-->",
      "]]>",
      '"',
      "'",
      ">",
      "&",
    ];
    const more = [
      "&lt;",
      " onload=alert(1)",
      "\u2028",
      "\0",
      "\x1b[2J",
      "\n",
      "{{",
      "${",
      "glass",
      "/",
      "\\",
      "\ud800",
    ];
    const hostileWord = fc.array(fc.constantFrom(...pieces, ...more), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(hostileWord, (words) => assert.deepEqual(tagsOf(words.join("")), plain)),
      { seed: 20261122, numRuns: 25, examples: pieces.map((piece) => [[piece]]) },
    );
  });

  it("holds 120 classes, one class, and a training of one epoch", () => {
    const names = Array.from({ length: 120 }, (_, i) => `class ${i}`);
    const many = renderReportPage({ title: "many", facts: [], metrics: metricsOf(names) });
    assert.ok(many.length < 1_000_000, `${many.length} characters`);
    for (const name of names)
      assert.ok(many.split(`>${name}<`).length >= 4, `${name} in both axes and the table`);
    const metrics = metricsOf(["only"]);
    const single = { ...metrics, bestEpoch: 1, history: metrics.history.slice(0, 1) };
    assert.ok(renderReportPage({ title: "one", facts: [], metrics: single }).includes("1 of 1"));
  });

  it("gives the same bytes for the same inputs", () => {
    const inputs = { title: "t", facts: [], metrics: metricsOf(["a", "zr1-c0", "c"]) };
    const page = renderReportPage(inputs);
    assert.equal(renderReportPage(inputs), page);
    assert.ok(page.split(">zr1-c0<").length >= 4, "a class may be named like an id");
  });
});

describe("report of a bundle", () => {
  it("says what was trained on what, and what became of each file", () => {
    const page = renderReport({
      manifest,
      metrics: metricsOf(["glass", "paper", "trash"]),
      ledger,
    });
    const rows = new Map(
      [...page.matchAll(/<tr><td>([^<]*)<\/td><td>([^<]*)<\/td><\/tr>/g)].map(
        (row) => [row[1], row[2]] as const,
      ),
    );
    const expected = {
      run: "first",
      recipe: "default, seed 7",
      backbone: "net@0123456789ab: 224 pixels to 1,280 numbers",
      "training images": "1,362, 8,172 rows with their views",
      components: "200 of 1,280, 90.3 % of the energy",
      head: "se, inputDropout 0, dropout 0.5, reduction 16, activation swish, outputDropout 0",
      optimiser: "adam, learningRate 0.005, beta1 0.9, beta2 0.999, epsilon 1e-7, weightDecay 0, batch 64",
      schedule: "plateau, factor 0.2, patience 5, minimum 0.00001, warmupEpochs 0",
      "kept epoch": "the one with the best validation accuracy, the later on a tie",
      "sha256 of model.onnx": "f".repeat(64),
      versions: "node 20.1.0, trommel 0.1.0",
      listed: "1514",
      "failed: truncated": "1",
      "skipped: not-an-image": "1",
    };
    for (const [name, value] of Object.entries(expected)) assert.equal(rows.get(name), value, name);
    assert.ok(page.includes("<title>Training first</title>"));
    assert.ok(!rows.has("refit") && !page.includes("trained again"));
  });

  it("says that a head was refitted, and that its figures are from before", () => {
    const metrics = metricsOf(["glass", "paper", "trash"]);
    const record = { learningRate: 1e-3, trainLoss: 0.125, trainAccuracy: 1 };
    const history = [1, 2].map((epoch) => ({ epoch, ...record }));
    const page = renderReport({
      manifest,
      metrics: { ...metrics, measured: "head-before-refit", refit: { rows: 9072, history } },
      ledger,
    });
    assert.ok(page.includes("<td>2 epochs on all images, 9,072 rows with their views</td>"));
    assert.match(
      page,
      /trained again for 2 epochs on all images[^<]* loss of 0\.125\. Every figure on this page is from before/,
    );
  });
});

const ledger: Ledger = {
  formatVersion: 1,
  listed: 1514,
  ok: 1512,
  failed: 1,
  skipped: 1,
  balanced: true,
  failedByReason: { truncated: 1 },
  skippedByReason: { "not-an-image": 1 },
  shards: 6,
};

const manifest: BundleManifest = {
  formatVersion: 1,
  run: "first",
  labels: ["glass", "paper", "trash"],
  input: {
    name: "pixels",
    type: "uint8",
    side: 224,
    channelOrder: "rgb",
    decode: recipe.parse({ backbones: ["net"] }).decode,
    decodeVersion: 1,
  },
  output: { name: "probabilities", type: "float32", classes: 3 },
  recipe: recipe.parse({ backbones: ["net"], head: { type: "se" }, seed: 7 }),
  backbones: [
    {
      formatVersion: 1,
      name: "net",
      hash: "0123456789abcdef".repeat(4),
      modelSha256: "a".repeat(64),
      dimension: 1280,
      inputSize: 224,
      normalization: { mean: [0, 0, 0], deviation: [1, 1, 1] },
      channelOrder: "rgb",
      opset: 17,
      parameterCount: 1,
      source: { kind: "onnx", url: "net.onnx", sha256: "b".repeat(64), output: "embedding", pooling: "none" },
      parity: null,
    },
  ],
  ensemble: null,
  novelty: null,
  thresholds: null,
  golden: null,
  contradictions: null,
  svd: { components: 200, energyKept: 0.9031, scale: 1 },
  hashes: { "model.onnx": "f".repeat(64) },
  versions: { node: "20.1.0", trommel: "0.1.0" },
  data: {
    images: 1512,
    trainImages: 1362,
    validationImages: 150,
    failedImages: 1,
    trainRows: 8172,
    classes: [],
  },
  metrics: {
    rows: 150,
    accuracy: 0.75,
    macroF1: 0.4,
    logLoss: 0.5,
    measured: "head",
    chosenBy: "",
    chosenApart: null,
    test: null,
  },
};

/** Figures for the first three classes by hand; any further class has one row, predicted right. */
function metricsOf(names: readonly string[]): Metrics {
  const counts = [
    [3, 3, 0],
    [0, 4, 0],
    [1, 1, 0],
  ];
  const figures = [
    { support: 6, precision: 0.75, recall: 0.5, f1: 0.6 },
    { support: 4, precision: 0.5, recall: 1, f1: 2 / 3 },
    { support: 2, precision: null, recall: 0, f1: 0 },
  ];
  return {
    rows: 12,
    accuracy: 0.75,
    macroF1: 0.4,
    logLoss: 0.5,
    confusion: names.map((_, i) => names.map((__, j) => counts[i]?.[j] ?? (i === j ? 1 : 0))),
    perClass: names.map((label, i) => ({
      label,
      ...(figures[i] ?? { support: 1, precision: 1, recall: 1, f1: 1 }),
    })),
    measured: "head",
    validation: null,
    chosenApart: null,
    test: null,
    chosenBy: "",
    notes: [],
    contradictions: null,
    training: trainingRecipe.parse({}),
    refit: null,
    bestEpoch: 2,
    history: [1, 2, 3].map((epoch) => ({
      epoch,
      learningRate: 1e-3,
      trainLoss: 1 / epoch,
      trainAccuracy: 1 - 0.5 / epoch,
      validationLoss: 1.25 / epoch,
      validationAccuracy: epoch === 2 ? 0.75 : 0.5,
    })),
  };
}
