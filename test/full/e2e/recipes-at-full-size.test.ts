import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { bundleManifest, type BundleManifest, type DecodeRecipe, type ScoreRow } from "@trommel/common";
import * as ort from "onnxruntime-node";
import { decodeRecipe } from "@trommel/common/recipe";
import { decodeImage } from "#gpu-worker/image/decode/decode-image";
import { trommelJson } from "../../support/process/cli.js";
import { drawDataset, writeFiles } from "../../support/images/dataset.js";
import { temporaryFolder } from "../../support/files/temp-folder.js";

/**
 * The four published recipes and their variants on frozen backbones as they are, with random weights in networks of full size: that they run, that shapes and
 * counts are those of the published systems, and that the bundle gives the same in ONNX Runtime by hand and, for one recipe of
 * each way to prepare pixels, in TensorFlow.js. (`engine-parity` compares every network in both engines.)
 */

const folder = await temporaryFolder("full-size");
const store = join(folder, "store");
const timeoutMs = 600_000;

interface Case {
  readonly recipe: string;
  /** Folder of its pictures: recipes that share it and the backbone extract once. */
  readonly dataset: string;
  /** Scored in TensorFlow.js too, which takes seconds for a picture. */
  readonly inBothEngines: boolean;
  /** Architecture and side of its input. */
  readonly backbones: readonly (readonly [architecture: string, side: number, ...flags: string[]])[];
  /** Class names by hue. */
  readonly labels: readonly string[];
  readonly files: (pictures: ReadonlyMap<string, Buffer>) => Map<string, Buffer | string>;
  readonly flags: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Keras's published counts without top, added up; the network's own embedding lengths, added up. */
  readonly parameters: number;
  readonly dimension: number;
  readonly side: number;
  readonly views: number;
  readonly headType: string;
  readonly decode: Partial<DecodeRecipe>;
  readonly outputs: readonly string[];
}

/** Pictures of class folders under names that do not tell the class. */
const flat = (pictures: ReadonlyMap<string, Buffer>): [name: string, label: string, bytes: Buffer][] =>
  [...pictures].map(([key, bytes], index) => [`img_${index}`, key.slice(0, key.lastIndexOf("/")), bytes]);

const garbage = ["可回收物/易拉罐", "其他垃圾/一次性快餐盒"];

/** The run of a recipe. */
const slugOf = (recipe: string): string => recipe.replace(":", "-");
const classFile = (recipe: string): string => join(folder, `${slugOf(recipe)}-classes.txt`);
/** Recipes that normalise as PyTorch does take no weights that want Keras's pixels. */
const rgb = ["--normalize", "torch", "--channels", "rgb"];

/** Every one of its backbones gives 2,048 numbers. */
const huawei = (
  recipe: string,
  backbone: Case["backbones"][number],
  parameters: number,
  headType: string,
): Case => ({
  recipe,
  dataset: `huawei-${backbone[0]}`,
  inBothEngines: recipe === "huawei-40:frozen-resnet50",
  backbones: [backbone],
  labels: garbage,
  files: (pictures) =>
    new Map(
      flat(pictures).flatMap(([name, label, bytes]): [string, Buffer | string][] => [
        [`${name}.png`, bytes],
        [`${name}.txt`, `${name}.png, ${garbage.indexOf(label)}`],
      ]),
    ),
  flags: ["--classes", classFile(recipe)],
  parameters,
  dimension: 2048,
  side: backbone[1],
  views: 6,
  headType,
  decode: { fit: "letterbox" },
  outputs: ["part-00000.jsonl", "result-00000.jsonl", "counts.json"],
});

const mobilenet = (recipe: string, flags: readonly string[]): Case => ({
  recipe,
  dataset: slugOf(recipe),
  inBothEngines: flags.length === 0,
  backbones: [["mobilenet-v2", 224, ...flags]],
  labels: ["zinc", "amber"],
  files: (pictures) => new Map<string, Buffer | string>(pictures),
  flags: [],
  parameters: 2_257_984,
  dimension: 1280,
  side: 448,
  views: 8,
  headType: "linear",
  decode: { fit: "squash" },
  outputs: ["part-00000.jsonl"],
});

const cases: readonly Case[] = [
  {
    recipe: "tianchi-efficientnets",
    dataset: "tianchi-efficientnets",
    inBothEngines: false,
    backbones: [
      ["efficientnet-b2", 380],
      ["efficientnet-b3", 380],
      ["efficientnet-b4", 380],
    ],
    labels: ["zinc", "amber"],
    files: (pictures) => new Map<string, Buffer | string>(pictures),
    // Not in alphabetical order, so that an order by name would show.
    flags: ["--classes", classFile("tianchi-efficientnets")],
    env: {
      IMAGE_TRAIN_INPUT_PATH: join(folder, "tianchi-efficientnets"),
      MODEL_INFERENCE_PATH: join(folder, "exported"),
    },
    parameters: 7_768_562 + 10_783_528 + 17_673_816,
    dimension: 4736,
    side: 380,
    views: 6,
    headType: "se",
    decode: { fit: "squash" },
    outputs: ["part-00000.jsonl"],
  },
  huawei("huawei-40:frozen", ["efficientnet-b5", 456], 28_513_520, "linear"),
  huawei("huawei-40:frozen-resnet50", ["resnet50", 224, ...rgb], 23_587_712, "linear"),
  huawei("huawei-40:frozen-se-resnet50", ["resnet50", 224, ...rgb], 23_587_712, "se"),
  huawei("huawei-40:frozen-xception", ["xception", 299], 20_861_480, "linear"),
  huawei("huawei-40:frozen-se-xception", ["xception", 299], 20_861_480, "se"),
  mobilenet("mobilenetv2-26", []),
  mobilenet("mobilenetv2-26:max", ["--pooling", "max", "--name", "mobilenet-v2-max"]),
  {
    recipe: "dog-breeds",
    dataset: "dog-breeds",
    inBothEngines: true,
    backbones: [
      ["resnet152", 224, ...rgb],
      ["inception-v3", 299],
    ],
    labels: ["whippet", "beagle"],
    files: (pictures) => {
      const rows = flat(pictures);
      const table = ["id,breed", ...rows.map(([name, label]) => `${name},${label}`)].join("\n");
      return new Map<string, Buffer | string>([
        ...rows.map(([name, , bytes]): [string, Buffer] => [`${name}.png`, bytes]),
        ["labels.csv", table],
      ]);
    },
    flags: ["--labels", join(folder, "dog-breeds/labels.csv")],
    parameters: 58_370_944 + 21_802_784,
    dimension: 2048 + 2048,
    side: 299,
    views: 2,
    headType: "mlp",
    decode: { fit: "squash", kernel: "cubic" },
    outputs: ["part-00000.jsonl", "submission.csv"],
  },
];

const perClass = 2;
/** Backbones that are in the store already. */
const made = new Set<string>();

for (const one of cases) {
  describe(`the recipe ${one.recipe} with random weights at full size`, () => {
    const dataset = join(folder, one.dataset);
    const unlabelled = `${dataset}-unlabelled`;
    const run = slugOf(one.recipe);
    const bundle = join(store, "runs", run, "bundle");
    const cluster = ["--store", store, "--workers", "1", "--follow"];
    let manifest: BundleManifest;

    before(async () => {
      const pictures = await drawDataset(one.labels, { to: perClass });
      await writeFiles(dataset, one.files(pictures));
      // The first of each class.
      const scored = [...pictures].filter(([key]) => key.endsWith("/000.png"));
      await writeFiles(unlabelled, new Map(scored.map(([key, bytes]) => [key.replaceAll("/", "-"), bytes])));
      const classes = one.labels.map((label, index) => `${label} ${index}`).join("\n");
      await writeFile(classFile(one.recipe), `${classes}\n`);
    });

    it("trains, and the counts are those of the published system", async () => {
      for (const [architecture, side, ...more] of one.backbones) {
        const flags = ["--arch", architecture, "--size", String(side), ...more, "--store", store];
        if (made.has(flags.join(" "))) continue;
        made.add(flags.join(" "));
        await trommelJson(["backbone", "random", ...flags], { timeoutMs });
      }
      const prefix = one.env === undefined ? [dataset] : [];
      const args = ["train", ...prefix, "--recipe", one.recipe, ...one.flags, "--run", run, ...cluster];
      await trommelJson(args, { timeoutMs, env: one.env ?? {} });
      manifest = bundleManifest.parse(JSON.parse(await readFile(join(bundle, "bundle.json"), "utf8")));
      const sum = (of: (spec: BundleManifest["backbones"][number]) => number): number =>
        manifest.backbones.reduce((total, spec) => total + of(spec), 0);
      assert.equal(
        sum((spec) => spec.parameterCount),
        one.parameters,
      );
      assert.equal(
        sum((spec) => spec.dimension),
        one.dimension,
      );
      assert.equal(manifest.input.side, one.side);
      assert.equal(manifest.recipe.head.type, one.headType);
      const { images, trainRows, trainImages, validationImages } = manifest.data;
      assert.equal(images, one.labels.length * perClass);
      assert.equal(trainImages + validationImages, images);
      assert.equal(trainRows, trainImages * one.views);
      const inOrder = one.flags.includes("--classes") ? [...one.labels] : [...one.labels].sort();
      assert.deepEqual(manifest.labels, inOrder);
      const exported = one.env?.["MODEL_INFERENCE_PATH"];
      if (exported !== undefined)
        assert.deepEqual(
          await readFile(join(exported, "bundle.json")),
          await readFile(join(bundle, "bundle.json")),
        );
    });

    it(`scores alike in ${one.inBothEngines ? "both engines and in " : ""}ONNX Runtime by hand`, async () => {
      const scores = new Map<string, readonly ScoreRow[]>();
      for (const engine of one.inBothEngines ? ["onnx", "tfjs"] : ["onnx"]) {
        const output = join(folder, `${run}-${engine}`);
        const args = [
          "score",
          unlabelled,
          "--model",
          bundle,
          "--output",
          output,
          "--engine",
          engine,
          ...cluster,
        ];
        await trommelJson(args, { timeoutMs });
        for (const name of one.outputs) await readFile(join(output, name));
        const lines = (await readFile(join(output, "part-00000.jsonl"), "utf8")).trim().split("\n");
        scores.set(
          engine,
          lines.map((line) => JSON.parse(line) as ScoreRow),
        );
      }
      const rows = scores.get("onnx") ?? [];
      assert.equal(rows.length, one.labels.length);
      for (const [i, row] of rows.entries()) {
        if (!one.inBothEngines) break;
        const other = scores.get("tfjs")?.[i];
        assert.equal(other?.key, row.key);
        assert.ok(probabilitiesDiffer(row, other, manifest.labels) < 1e-3, JSON.stringify([row, other]));
      }
      const [row] = rows;
      assert.ok(row !== undefined);
      const byHand = await runByHand(join(bundle, "model.onnx"), join(unlabelled, row.key), one);
      for (const [i, label] of manifest.labels.entries()) {
        const given = row.top.find((entry) => entry.label === label)?.probability ?? Number.NaN;
        assert.ok(Math.abs(given - (byHand[i] ?? Number.NaN)) < 1e-5, `${label}: ${given}, ${byHand[i]}`);
      }
    });
  });
}

function probabilitiesDiffer(a: ScoreRow, b: ScoreRow, labels: readonly string[]): number {
  const of = (row: ScoreRow, label: string): number =>
    row.top.find((entry) => entry.label === label)?.probability ?? Number.NaN;
  return Math.max(...labels.map((label) => Math.abs(of(a, label) - of(b, label))));
}

async function runByHand(model: string, picture: string, { side, decode }: Case): Promise<Float32Array> {
  const decoded = await decodeImage(await readFile(picture), { ...decodeRecipe.parse(decode), side });
  assert.ok(decoded.ok);
  const { pixels } = decoded;
  const session = await ort.InferenceSession.create(model);
  const input = new ort.Tensor("uint8", pixels, [1, side, side, 3]);
  const { probabilities } = await session.run({ pixels: input });
  const values = probabilities?.data as Float32Array;
  await session.release();
  return values;
}
