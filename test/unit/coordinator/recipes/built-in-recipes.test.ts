import type { Flip } from "@trommel/common/recipe";
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { namedNormalizations, type Recipe } from "@trommel/common";
import { parseRecipe } from "#coordinator/recipes/parse-recipe";
import { builtInNames, readRecipeText } from "#coordinator/recipes/read-recipe";
import { jsonInProcess, runInProcess } from "../../../support/process/cli.js";

/** The figures of the four published systems, written down from their descriptions and not from the recipes. */

const recipeOf = async (name: string): Promise<Recipe> =>
  parseRecipe((await readRecipeText(name)).written, `the recipe ${name}`);

/** The fields of an object that an expectation names. */
function assertFields<T extends object>(found: T, expected: Partial<T>, what: string): void {
  const named = Object.fromEntries(Object.keys(expected).map((name) => [name, found[name as keyof T]]));
  assert.deepEqual(named, expected, what);
}

const still = {
  flips: [] as Flip[],
  rotation: 0,
  shiftX: 0,
  shiftY: 0,
  shear: 0,
  zoom: 0,
} as const;
const noColour = { brightness: 0, contrast: 0, saturation: 0 } as const;
const noCrop = { crop: null, resizedCrop: null } as const;
const average = (name: string, inputSize: number) => ({ name, inputSize, pooling: "average" as const });

describe("built-in recipes", () => {
  it("are these seven, and each of their variants is a legal recipe", async () => {
    const names = await builtInNames();
    assert.deepEqual(names, [
      "dinov2",
      "dog-breeds",
      "huawei-40",
      "mobilenetv2-26",
      "tianchi-efficientnets",
      "waste-mobilenets",
      "waste-tuned",
    ]);
    const variants: string[] = [];
    for (const name of names) {
      const found = await readRecipeText(name);
      assert.equal((await recipeOf(name)).name, name);
      for (const variant of found.variants.map((other) => `${name}:${other}`)) {
        variants.push(variant);
        assert.equal((await recipeOf(variant)).name, variant);
      }
    }
    assert.deepEqual(variants, [
      ...["efficientnet-b5", "resnet50", "se-resnet50", "xception", "se-xception"].map(
        (v) => `huawei-40:${v}`,
      ),
      ...["", "-resnet50", "-se-resnet50", "-xception", "-se-xception"].map((v) => `huawei-40:frozen${v}`),
      ...["mobilenetv2-26:max", "mobilenetv2-26:adam"],
    ]);
  });

  it("tianchi-efficientnets", async () => {
    const recipe = await recipeOf("tianchi-efficientnets");
    assert.deepEqual(
      recipe.backbones,
      ["b2", "b3", "b4"].map((size) => average(`efficientnet-${size}`, 380)),
    );
    assert.equal(recipe.normalization, "tf");
    // Pixels to [-1, 1].
    const { mean, deviation } = namedNormalizations.tf;
    for (const channel of [0, 1, 2] as const) {
      assert.deepEqual(
        [0, 255].map((v) => (v - mean[channel]) / deviation[channel]),
        [-1, 1],
      );
    }
    assert.deepEqual(recipe.views, {
      ...{ count: 6, rotation: 20, shiftX: 0.05, shiftY: 0.05, shear: 0, zoom: 0.05 },
      ...{ horizontalFlip: true, verticalFlip: false, quarterTurns: false, order: "fixed" },
      flips: [],
      ...noCrop,
      ...noColour,
    });
    assert.deepEqual(recipe.validation, { fraction: 0.1, of: "class" });
    assert.deepEqual(recipe.svd, { energy: 0.9, step: 100, centre: false });
    assertFields(
      recipe.head,
      { type: "se", inputDropout: 0, dropout: 0.5, reduction: 16, activation: "swish", outputDropout: 0 },
      "head",
    );
    const { optimizer, schedule, ...training } = recipe.training;
    assertFields(optimizer, { type: "adam", learningRate: 0.005, weightDecay: 0 }, "optimizer");
    assertFields(
      schedule,
      { type: "plateau", factor: 1 / 5, patience: 5, minimum: 1e-5, warmupEpochs: 0 },
      "schedule",
    );
    assertFields(
      training,
      { epochs: 100, batchSize: 64, keep: "accuracy", refit: false, labelSmoothing: 0 },
      "training",
    );
    assert.deepEqual(recipe.environment, {
      input: "IMAGE_TRAIN_INPUT_PATH",
      output: "MODEL_INFERENCE_PATH",
    });
    assert.deepEqual(recipe.scores.formats, ["jsonl"]);
  });

  /** What all ten of the Huawei challenge's variants share. */
  const huaweiImages = (recipe: Recipe): void => {
    assert.equal(recipe.decode.fit, "letterbox");
    assert.equal(recipe.normalization, "dataset");
    // Of aug.py: Fliplr(0.5), Flipud(0.5), Affine(rotate=(-10, 10)), Sometimes(0.5, Crop(percent=(0, 0.1))), in a random order.
    assertFields(recipe.views, { ...still, ...noColour, rotation: 10, resizedCrop: null }, "views");
    assertFields(
      recipe.views,
      { horizontalFlip: true, verticalFlip: true, quarterTurns: false, order: "random" },
      "views",
    );
    assert.deepEqual(recipe.views.crop, { share: 0.1, probability: 0.5 });
    assert.deepEqual(recipe.labels.source, { type: "sidecar", extension: ".txt" });
    assert.deepEqual(recipe.scores.formats, ["jsonl", "result"]);
  };

  it("huawei-40 tunes each of its five backbones as published", async () => {
    // github.com/wusaifei/garbage_classify: run.py, train.py, Network.py, data_gen.py, warmup_cosine_decay_scheduler.py.
    const published = {
      batch_size: 8,
      max_epochs: 30,
      learning_rate: 1e-4,
      nadam: { beta_1: 0.9, beta_2: 0.999, epsilon: 1e-8, schedule_decay: 0.004 },
      warmup_epoch: 5,
      smooth_factor: 0.1,
      validation: 0.1,
      // One less momentum=0.99, the default of Keras and of keras_efficientnets.
      batchNormShare: 0.01,
    };
    const { nadam } = published;
    // Dense(units=2048 // 16), relu, Dense(2048), sigmoid, times the last map.
    const gate = { reduction: 16 };
    for (const [variant, backbone, dropout, gated] of [
      ["", average("efficientnet-b5", 456), 0.4, null],
      [":efficientnet-b5", average("efficientnet-b5", 456), 0.4, null],
      [":resnet50", average("resnet50", 224), 0, null],
      [":se-resnet50", average("resnet50", 224), 0, gate],
      [":xception", average("xception", 299), 0, null],
      [":se-xception", average("xception", 299), 0.3, gate],
    ] as const) {
      const recipe = await recipeOf(`huawei-40${variant}`);
      huaweiImages(recipe);
      assert.deepEqual(recipe.backbones, [backbone]);
      assert.equal(recipe.views.count, 1);
      assertFields(recipe.head, { type: "auto", effort: "quick", folds: 1 / published.validation }, "head");
      assert.equal(recipe.split.test, 0.15);
      assert.deepEqual(recipe.tune, {
        blocks: "all",
        ...{
          replicas: 1,
          localSteps: 100,
          outer: { type: "average" },
          folds: 1,
          networks: "refit",
          from: null,
        },
        ...{ memoryMb: null, precision: "fp32" },
        batchSize: published.batch_size,
        epochs: published.max_epochs,
        optimizer: {
          type: "nadam",
          learningRate: published.learning_rate,
          ...{ beta1: nadam.beta_1, beta2: nadam.beta_2, epsilon: nadam.epsilon },
          ...{ scheduleDecay: nadam.schedule_decay, weightDecay: 0 },
        },
        layerDecay: 1,
        schedule: { type: "cosine", minimum: 0, warmupEpochs: published.warmup_epoch },
        labelSmoothing: published.smooth_factor,
        ...{ mixup: 0, dropout, classWeights: "none" },
        norm: "batch",
        statisticsMomentum: published.batchNormShare,
        // Dense(num_classes, activation="softmax") on the pooled features.
        ...{ gate: gated, head: "tuned" },
        ...{ clipNorm: null, averageDecay: null, keep: "accuracy", patience: null },
      });
    }
  });

  it("huawei-40 on frozen backbones", async () => {
    const linear = { type: "linear", dropout: 0.4, bias: true };
    const gate = {
      type: "se",
      inputDropout: 0,
      dropout: 0,
      reduction: 16,
      activation: "relu",
      outputDropout: 0.4,
    };
    for (const [variant, backbone, head] of [
      ["frozen", average("efficientnet-b5", 456), linear],
      ["frozen-resnet50", average("resnet50", 224), linear],
      ["frozen-se-resnet50", average("resnet50", 224), gate],
      ["frozen-xception", average("xception", 299), linear],
      ["frozen-se-xception", average("xception", 299), gate],
    ] as const) {
      const recipe = await recipeOf(`huawei-40:${variant}`);
      huaweiImages(recipe);
      assert.deepEqual(recipe.backbones, [backbone]);
      assert.deepEqual([recipe.tune, recipe.svd, recipe.split.test], [null, null, null]);
      assert.equal(recipe.views.count, 6);
      assert.deepEqual(recipe.head, head);
      const { optimizer, schedule, ...training } = recipe.training;
      assertFields(
        optimizer,
        { type: "nadam", learningRate: 0.002, scheduleDecay: 0.004, epsilon: 1e-7, weightDecay: 0 },
        "optimizer",
      );
      assert.deepEqual(schedule, { type: "cosine", minimum: 0, warmupEpochs: 5 });
      assertFields(
        training,
        { epochs: 60, batchSize: 64, labelSmoothing: 0.1, keep: "accuracy", refit: false },
        variant,
      );
    }
  });

  it("mobilenetv2-26", async () => {
    const recipe = await recipeOf("mobilenetv2-26");
    assert.deepEqual(recipe.backbones, [average("mobilenet-v2", 224)]);
    assert.equal(recipe.normalization, "torch");
    assert.ok(typeof recipe.decode.side === "number" && recipe.decode.side > 224);
    assert.deepEqual(recipe.views, {
      ...still,
      ...{
        count: 8,
        crop: null,
        horizontalFlip: true,
        verticalFlip: false,
        quarterTurns: false,
        order: "fixed",
      },
      resizedCrop: { area: [0.08, 1], ratio: [3 / 4, 4 / 3] },
      ...{ brightness: 0.2, contrast: 0.01, saturation: 0.01 },
    });
    assert.equal(recipe.svd, null);
    assert.deepEqual(recipe.head, { type: "linear", dropout: 0, bias: false });
    const { optimizer, schedule, ...training } = recipe.training;
    const sgd = { type: "sgd", momentum: 0.9, nesterov: false, weightDecay: 4e-5, learningRate: 0.03 };
    assert.deepEqual(optimizer, sgd);
    assert.deepEqual(schedule, { type: "cosine", minimum: 0, warmupEpochs: 0 });
    assertFields(training, { epochs: 40, batchSize: 32, checkpoints: true, keep: "accuracy" }, "training");
    const max = await recipeOf("mobilenetv2-26:max");
    assertFields(max.backbones[0] ?? {}, { inputSize: 224, pooling: "max" }, "pooling");
    const adam = (await recipeOf("mobilenetv2-26:adam")).training.optimizer;
    assertFields(adam, { type: "adam", weightDecay: 4e-5, learningRate: 0.03 }, "adam");
  });

  it("waste-mobilenets", async () => {
    const recipe = await recipeOf("waste-mobilenets");
    const names = ["mobilenet-075-416", "mobilenet-075-pw11-416", "mobilenet-100-pw12-416"];
    assert.deepEqual(
      recipe.backbones,
      names.map((name, at) => ({ ...average(name, 416), ...(at === 0 && { pooling: null }) })),
    );
    const flips: Flip[] = ["horizontal", "vertical", "both"];
    assertFields(recipe.views, { count: 4, flips }, "views");
    assert.deepEqual(recipe.serving.views, ["identity", ...flips]);
    assertFields(recipe.head, { type: "auto", folds: null, heads: "folds" }, "head");
  });

  it("waste-tuned", async () => {
    const recipe = await recipeOf("waste-tuned");
    assert.deepEqual(recipe.backbones, [average("mobilenet-100-pw12-416", 416)]);
    const flips: Flip[] = ["horizontal", "vertical", "both"];
    assertFields(recipe.views, { count: 4, flips, rotation: 30, verticalFlip: true }, "views");
    assert.deepEqual(recipe.serving.views, ["identity", ...flips]);
    assertFields(recipe.head, { type: "auto", folds: 3, heads: "folds", repeats: 1 }, "head");
    const tune = {
      blocks: { last: 4 },
      folds: 3,
      networks: "folds",
      epochs: 8,
      averageDecay: 0.97,
      norm: "batch",
    };
    assertFields(recipe.tune ?? {}, tune, "tune");
    assertFields(recipe.tune?.optimizer ?? {}, { type: "adamw", learningRate: 0.001 }, "optimizer");
  });

  it("dinov2", async () => {
    const recipe = await recipeOf("dinov2");
    assert.deepEqual(recipe.backbones, [{ name: "dinov2-small", inputSize: 224, pooling: null }]);
    assertFields(recipe.decode, { fit: "crop", kernel: "cubic" }, "decode");
    assert.equal(recipe.normalization, "backbone");
    assert.deepEqual(recipe.serving.views, ["identity", "horizontal"]);
  });

  it("dog-breeds", async () => {
    const recipe = await recipeOf("dog-breeds");
    assert.deepEqual(recipe.backbones, [average("resnet152", 224), average("inception-v3", 299)]);
    assert.equal(recipe.normalization, "torch");
    assert.equal(recipe.decode.kernel, "cubic");
    assert.deepEqual(recipe.views, {
      ...still,
      ...{ count: 2, horizontalFlip: "alternate", verticalFlip: false, quarterTurns: false, order: "fixed" },
      ...noCrop,
      ...noColour,
    });
    assert.equal(recipe.svd, null);
    assert.deepEqual(recipe.head, {
      type: "mlp",
      hidden: [256],
      activation: "relu",
      inputDropout: 0,
      dropout: 0.7,
    });
    const { optimizer, schedule, ...training } = recipe.training;
    assertFields(optimizer, { type: "adam", learningRate: 1e-4, weightDecay: 1e-4 }, "optimizer");
    assert.deepEqual(schedule, { type: "constant", warmupEpochs: 0 });
    assertFields(training, { epochs: 100, batchSize: 128, keep: "loss", refit: true }, "training");
    assert.deepEqual(recipe.validation, { fraction: 0.1, of: "smallest-class" });
    assert.deepEqual(recipe.labels, {
      source: {
        type: "csv",
        file: null,
        idColumn: "id",
        labelColumn: "breed",
        delimiter: null,
        encoding: null,
      },
      classes: null,
      lookAlikes: "refuse",
    });
    assert.deepEqual(recipe.scores.formats, ["jsonl", "kaggle"]);
  });
});

describe("trommel recipe", () => {
  it("lists names, variants, backbones and descriptions", async () => {
    const { recipes } = (await jsonInProcess(["recipe", "ls"])) as { recipes: { name: string }[] };
    const { stdout } = await runInProcess(["recipe", "ls"]);
    const [header, ...lines] = stdout.trimEnd().split("\n");
    assert.match(header ?? "", /^recipe +backbones +what it is$/);
    assert.equal(lines.length, recipes.length);
    for (const [index, { name }] of recipes.entries()) {
      const { description, backbones } = await recipeOf(name);
      assert.ok(lines[index]?.startsWith(`${name} `) && lines[index]?.endsWith(description), lines[index]);
      for (const backbone of backbones) assert.ok(lines[index]?.includes(backbone.name));
    }
    assert.equal(recipes.length, 19);
  });

  it("shows one as it is shipped, and with --json as it resolves", async () => {
    const { stdout } = await runInProcess(["recipe", "show", "dog-breeds"]);
    assert.equal(stdout, (await readRecipeText("dog-breeds")).text);
    assert.match(stdout, /^# .*Kaggle/);
    assert.deepEqual(
      await jsonInProcess(["recipe", "show", "huawei-40:se-xception"]),
      await recipeOf("huawei-40:se-xception"),
    );
    const { code, stderr } = await runInProcess(["recipe", "show", "huawei-41"]);
    assert.equal(code, 2);
    assert.match(stderr, /huawei-40/);
  });
});
