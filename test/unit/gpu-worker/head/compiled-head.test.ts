import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { InferenceSession, Tensor } from "onnxruntime-node";
import {
  SeededRandom,
  headRecipe,
  trainingRecipe,
  type HeadRecipe,
  type StepOptimizerRecipe,
} from "@trommel/common";
import { GraphBuilder } from "#gpu-worker/graph/graph-builder";
import { loadTensorflow } from "#gpu-worker/graph/tensorflow";
import { allocateBlock, EpochBlocks } from "#gpu-worker/head/compiled/step-block";
import { epochOrder, noiseSeed } from "#gpu-worker/head/batches/epoch-order";
import { createCompiledLearner } from "#gpu-worker/head/compiled/compiled-learner";
import { createOptimizer } from "#gpu-worker/head/tfjs/optimizers";
import { figuresOfLogarithms, lossFigures, smoothedTargets } from "#gpu-worker/head/model/cross-entropy";
import { factorLayers } from "#gpu-worker/head/noise/dropout-factors";
import { emitHeadSteps } from "#gpu-worker/head/compiled/emit-head-steps";
import { emitUpdate, momentKinds, momentScale } from "#gpu-worker/head/compiled/emit-optimizer";
import type { HeadLearner } from "#gpu-worker/head/head-learner";
import { initialWeights } from "#gpu-worker/head/model/head-model";
import { HeadNetwork } from "#gpu-worker/head/tfjs/head-network";
import { JoinedRows, type RowSet } from "#gpu-worker/head/model/row-set";
import { createSchedule } from "#gpu-worker/head/schedule";
import { createStepRates, rateCount } from "#gpu-worker/head/compiled/step-rates";
import { trainHead } from "#gpu-worker/head/train-head";
import { createTfjsLearner } from "#gpu-worker/head/tfjs/tfjs-learner";
import { parseSteps } from "../../../support/runs/step-training.js";
import { factorsOf, toyProblem } from "../../../support/runs/toy-problem.js";

const heads: readonly HeadRecipe[] = [
  headRecipe.parse({ type: "se", reduction: 4 }),
  headRecipe.parse({ type: "se", reduction: 4, activation: "relu", outputDropout: 0.3 }),
  headRecipe.parse({ type: "se", reduction: 4, dropout: 0 }),
  headRecipe.parse({ type: "linear", dropout: 0.2 }),
  headRecipe.parse({ type: "linear", bias: false }),
  headRecipe.parse({ type: "mlp", hidden: [9, 5], activation: "swish" }),
  headRecipe.parse({ type: "mlp", hidden: [9, 8, 7], activation: "relu" }),
  headRecipe.parse({ type: "mlp", hidden: [8], activation: "tanh", dropout: 0 }),
  headRecipe.parse({ type: "mlp", hidden: [9], inputDropout: 0.3 }),
  headRecipe.parse({ type: "se", reduction: 4, inputDropout: 0.2 }),
];

const optimizers: readonly StepOptimizerRecipe[] = [
  { type: "adam" },
  { type: "adam", weightDecay: 0.01, beta1: 0.8, beta2: 0.99, epsilon: 1e-3 },
  { type: "adamw" },
  { type: "adamw", weightDecay: 0.5, beta1: 0.8, beta2: 0.99, epsilon: 1e-3 },
  { type: "nadam" },
  { type: "nadam", weightDecay: 0.01, scheduleDecay: 0 },
  { type: "sgd" },
  { type: "sgd", weightDecay: 0.01, nesterov: true },
  { type: "sgd", momentum: 0 },
].map((optimizer) => parseSteps({ optimizer }).optimizer);

interface OptimizerGolden {
  readonly optimizers: {
    readonly start: number[];
    readonly gradients: number[][];
    readonly rates: number[];
    readonly cases: readonly { readonly recipe: Partial<StepOptimizerRecipe>; readonly end: number[] }[];
  };
}

const goldenFile = new URL("../../../../golden/training.json", import.meta.url);

describe("compiled gradients", () => {
  for (const head of heads) {
    it(`are TensorFlow.js's, with noise and without: ${JSON.stringify(head)}`, async () => {
      const [rows, features, classes] = [5, 6, 3];
      const weights = initialWeights(head, features, classes, 2);
      const random = new SeededRandom(3);
      for (const { data } of Object.values(weights)) for (const i of data.keys()) data[i] = random.normal();
      const x = Float32Array.from({ length: rows * features }, () => random.normal());
      const targets = smoothedTargets(Int32Array.of(0, 1, 2, 1, 0), classes, 0.1);
      const { tf } = await loadTensorflow();
      const drawn = factorLayers(head, features, 4).map((layer) => {
        const data = factorsOf(layer, rows);
        return { ...layer, data, fill: (values: Float32Array) => values.set(data) };
      });
      for (const layers of [drawn, []]) {
        const network = new HeadNetwork(tf, head, weights);
        const expected = network.gradients({ features: x, targets, rows }, layers);
        const builder = new GraphBuilder();
        const names = Object.keys(weights);
        for (const name of names) builder.input(name, "float32", weights[name]?.shape ?? []);
        const { logits, backward } = emitHeadSteps(builder, head, {
          features: builder.input("x", "float32", [rows, features]),
          weights: new Map(names.map((name) => [name, name])),
          factors: new Map(
            layers.map(({ place, width }) => [
              place,
              builder.input(`${place}_factors`, "float32", [rows, width]),
            ]),
          ),
        });
        const probabilities = builder.node("Softmax", [logits], { axis: -1 });
        const excess = builder.node("Sub", [
          probabilities,
          builder.input("targets", "float32", [rows, classes]),
        ]);
        const share = builder.constant("share", "float32", [], Float32Array.of(1 / rows));
        const gradients = backward(builder.node("Mul", [excess, share]));
        builder.output("logits", "float32", [rows, classes], logits);
        for (const name of names) {
          builder.output(`d_${name}`, "float32", weights[name]?.shape, gradients.get(name) ?? "");
        }
        const found = await runOnce(builder, {
          ...Object.fromEntries(
            names.map((name) => [name, tensor(weights[name]?.data, weights[name]?.shape)]),
          ),
          ...Object.fromEntries(
            layers.map(({ place, width, data }) => [`${place}_factors`, tensor(data, [rows, width])]),
          ),
          x: tensor(x, [rows, features]),
          targets: tensor(targets, [rows, classes]),
        });
        closeAll(found["logits"], expected.logits, 2e-6);
        for (const name of names) closeAll(found[`d_${name}`], expected.gradients[name], 2e-6);
      }
    });
  }
});

describe("compiled optimisers", () => {
  const { start, gradients, rates, cases } = (JSON.parse(readFileSync(goldenFile, "utf8")) as OptimizerGolden)
    .optimizers;

  for (const { recipe: options, end } of cases) {
    it(`step as PyTorch's or Keras's do: ${JSON.stringify(options)}`, async () => {
      const recipe = parseSteps({ optimizer: options }).optimizer;
      const states = await stepThrough(
        recipe,
        Float32Array.from(start),
        gradients.map((gradient) => Float32Array.from(gradient)),
        rates,
      );
      closeAll(states.at(-1)?.weight, end, 1e-6);
    });
  }

  for (const recipe of optimizers) {
    it(`step as the plain ones do, moments included: ${JSON.stringify(recipe)}`, async () => {
      const random = new SeededRandom(9);
      const draw = () => Float32Array.from({ length: 11 }, () => random.normal());
      const weight = draw();
      const slopes = Array.from({ length: 30 }, draw);
      const steps = slopes.map((_, t) => 0.01 / (1 + t));
      const states = await stepThrough(recipe, weight, slopes, steps);
      const plain = createOptimizer(recipe);
      const weights = new Map([["w", weight.slice()]]);
      for (const [t, slope] of slopes.entries()) {
        plain.apply(weights, { w: slope }, steps[t] ?? 0);
        closeAll(states[t]?.weight, weights.get("w"), 3e-6);
        for (const [index, kind] of momentKinds(recipe).entries()) {
          closeAll(states[t]?.moments[index], plain.state.moments.get(`${kind}/w`), 3e-6);
        }
      }
    });
  }
});

describe("compiled training", () => {
  for (const [index, head] of heads.entries()) {
    const optimizer = optimizers[index % optimizers.length] as StepOptimizerRecipe;
    it(`follows TensorFlow.js's through epochs: ${head.type}, ${optimizer.type}`, async () => {
      const { train, validation, classCount, seed } = toyProblem(head);
      const options = { labelSmoothing: 0.1 * (index % 2), mixup: 0.4 * (index % 3) };
      const training = parseSteps({ batchSize: 64, ...options, optimizer });
      const setting = { head, training, featureCount: 12, classCount, seed, threads: 1 };
      const start = { weights: initialWeights(head, 12, classCount, seed) };
      const rows = new JoinedRows([train, validation], 12);
      const learners = [
        await createTfjsLearner(setting, start, rows),
        await createCompiledLearner(setting, start, rows),
      ];
      for (let epoch = 1; epoch <= 3; epoch += 1) {
        const [expected = {}, found = {}] = await Promise.all(
          learners.map(async (learner) => {
            const schedule = createSchedule(training.schedule, optimizer.learningRate, 3);
            return {
              ...(await learner.trainEpoch(epoch, schedule)),
              ...(await learner.validate(validation)),
            };
          }),
        );
        closeAll(Object.values(found), Object.values(expected), 1e-5);
      }
      const [expected, found] = learners.map(stateOf);
      assert.deepEqual([...(found?.keys() ?? [])], [...(expected?.keys() ?? [])]);
      for (const [name, values] of expected ?? []) closeAll(found?.get(name), values, 2e-4);
      for (const learner of learners) await learner.release();
    });
  }

  // 4 MiB hold two steps of 32 rows with 5000 features and as many factors twice, 16 MiB eight.
  for (const [type, expectedSizes] of [
    ["adam", [...Array.from({ length: 7 }, () => [2, 32]), [1, 32], [1, 20]]],
    [
      "adamw",
      [
        [8, 32],
        [7, 32],
        [1, 20],
      ],
    ],
  ] as const)
    it(`meets each batch of an epoch once, in runs of bounded size, with the noise of its own steps: ${type}`, () => {
      const [featureCount, classCount, count, batchSize] = [5000, 3, 500, 32];
      const labels = Int32Array.from({ length: count }, (_, row) => row % classCount);
      const features = Float32Array.from({ length: count * featureCount }, (_, i) =>
        Math.floor(i / featureCount),
      );
      const rows = new JoinedRows([{ features, labels }], featureCount);
      const head = headRecipe.parse({ type: "se", outputDropout: 0.5 });
      const [seed, epoch] = [3, 2];
      const order = epochOrder("natural", seed, { rows, epoch });
      assert.deepEqual(order.toSorted(), Int32Array.from(labels.keys()));
      const setting = {
        head,
        training: parseSteps({ batchSize, optimizer: { type } }),
        featureCount,
        classCount,
        seed,
      };
      const runs = new EpochBlocks(setting, rows, epoch);
      const memory = allocateBlock(setting);
      const expected = factorLayers(head, featureCount, noiseSeed(seed, epoch));
      const sizes: [steps: number, rows: number][] = [];
      let at = 0;
      for (;;) {
        const run = runs.next(memory);
        if (run === undefined) break;
        sizes.push([run.steps, run.rows]);
        assert.equal(run.firstStep * batchSize, at);
        const size = run.rows * featureCount;
        for (let step = 0; step < run.steps; step += 1) {
          for (const layer of expected) {
            const found = memory.factors.get(layer.place)?.subarray(step * size, (step + 1) * size);
            assert.deepEqual(found, factorsOf(layer, run.rows));
          }
        }
        for (let i = 0; i < run.steps * run.rows; i += 1) {
          const row = order[at + i] ?? -1;
          assert.equal(memory.labels[i], labels[row]);
          assert.equal(memory.features[i * featureCount + 17], row);
          const target = Float32Array.from({ length: classCount }, (_, j) => (j === labels[row] ? 1 : 0));
          assert.deepEqual(memory.targets.subarray(i * classCount, (i + 1) * classCount), target);
        }
        at += run.steps * run.rows;
      }
      assert.equal(at, count);
      assert.deepEqual(sizes, expectedSizes);
    });

  it("gives the same bytes whether one thread prepares the batches or another beside it, to the last epoch", async () => {
    // One head of each kind; with noise at its input and at its output, and without.
    for (const head of [heads[1], heads[4], heads[8]] as HeadRecipe[]) {
      const inputs = {
        ...toyProblem(head),
        training: trainingRecipe.parse({ epochs: 3, batchSize: 32, refit: true }),
      };
      const refit = { ...inputs, heldBack: inputs.validation };
      const alone = await trainHead({ ...refit, threads: 1 });
      assert.deepEqual(await trainHead({ ...refit, threads: 2 }), alone);
      const rows = { train: inShared(refit.train), validation: inShared(refit.validation) };
      assert.deepEqual(await trainHead({ ...refit, ...rows, threads: 2 }), alone);
    }
  });

  it("counts loss and right answers from log-probabilities as from logits, the first of equals being the answer", () => {
    const random = new SeededRandom(8);
    const [count, classes] = [200, 4];
    // Of few values, so that equals are frequent.
    const logits = Float32Array.from({ length: count * classes }, () => random.integer(3));
    const labels = Int32Array.from({ length: count }, () => random.integer(classes));
    const logarithms = logits.map((value, i) => {
      const row = logits.subarray(i - (i % classes), i - (i % classes) + classes);
      return value - Math.log(row.reduce((sum, other) => sum + Math.exp(other), 0));
    });
    for (const smoothing of [0, 0.2]) {
      const expected = lossFigures(logits, labels, classes, smoothing);
      const found = figuresOfLogarithms(logarithms, labels, classes, smoothing);
      assert.equal(found.correct, expected.correct);
      assert.ok(Math.abs(found.loss - expected.loss) < 1e-4);
    }
  });
});

/** Weight and moments after each step of the emitted update, fed back from run to run. */
async function stepThrough(
  recipe: StepOptimizerRecipe,
  start: Float32Array,
  gradients: readonly Float32Array[],
  rates: readonly number[],
): Promise<{ weight: Float32Array; moments: Float32Array[] }[]> {
  const length = start.length;
  const builder = new GraphBuilder();
  const kinds = momentKinds(recipe);
  const rateNames = Array.from({ length: rateCount(recipe) }, (_, i) =>
    builder.input(`rate${i}`, "float32", []),
  );
  const updated = emitUpdate(builder, recipe, {
    weight: builder.input("weight", "float32", [length]),
    gradient: builder.input("gradient", "float32", [length]),
    moments: kinds.map((kind) => builder.input(kind, "float32", [length])),
    rates: rateNames,
    decays: true,
  });
  builder.output("next_weight", "float32", [length], updated.weight);
  for (const [i, kind] of kinds.entries()) {
    builder.output(`next_${kind}`, "float32", [length], updated.moments[i] ?? "");
  }
  const session = await InferenceSession.create(builder.encode());
  const nextRates = createStepRates(recipe, 0);
  let weight = start;
  let scaled = kinds.map(() => new Float32Array(length));
  const states: { weight: Float32Array; moments: Float32Array[] }[] = [];
  for (const [t, gradient] of gradients.entries()) {
    const stepRates = nextRates(rates[t] ?? 0);
    const outputs = await session.run({
      weight: tensor(weight, [length]),
      gradient: tensor(gradient, [length]),
      ...Object.fromEntries(kinds.map((kind, i) => [kind, tensor(scaled[i], [length])])),
      ...Object.fromEntries(
        rateNames.map((name, i) => [name, tensor(Float32Array.of(stepRates[i] ?? 0), [])]),
      ),
    });
    weight = outputs["next_weight"]?.data as Float32Array;
    scaled = kinds.map((kind) => outputs[`next_${kind}`]?.data as Float32Array<ArrayBuffer>);
    const moments = scaled.map((values, i) => {
      return values.map((value) => value * momentScale(recipe, kinds[i] ?? "first"));
    });
    states.push({ weight, moments });
  }
  await session.release();
  return states;
}

async function runOnce(
  builder: GraphBuilder,
  feeds: Record<string, Tensor>,
): Promise<Record<string, Float32Array>> {
  const session = await InferenceSession.create(builder.encode());
  const outputs = await session.run(feeds);
  const found = Object.entries(outputs).map(([name, value]) => [
    name,
    Float32Array.from(value.data as Float32Array),
  ]);
  await session.release();
  return Object.fromEntries(found) as Record<string, Float32Array>;
}

function tensor(data: Float32Array | undefined, shape: readonly number[] | undefined): Tensor {
  return new Tensor("float32", data ?? new Float32Array(), [...(shape ?? [])]);
}

function inShared({ features, labels }: RowSet): RowSet {
  const copies = {
    features: new Float32Array(new SharedArrayBuffer(features.byteLength)),
    labels: new Int32Array(new SharedArrayBuffer(labels.byteLength)),
  };
  copies.features.set(features);
  copies.labels.set(labels);
  return copies;
}

/** Weights and moments by name. */
function stateOf(learner: HeadLearner): Map<string, Float32Array> {
  const weights = Object.entries(learner.snapshot()).map(([name, { data }]) => [name, data] as const);
  return new Map([...weights, ...learner.optimizerState.moments]);
}

/** Within a tolerance relative to the largest expected value, or absolute where that is under one. */
function closeAll(
  found: ArrayLike<number> | undefined,
  expected: ArrayLike<number> | undefined,
  tolerance: number,
): void {
  const wanted = Array.from(expected ?? []);
  assert.ok(wanted.length > 0);
  assert.equal(found?.length, wanted.length);
  const scale = wanted.reduce((largest, value) => Math.max(largest, Math.abs(value)), 1);
  for (const [i, value] of wanted.entries()) {
    assert.ok(
      Math.abs((found?.[i] ?? Number.NaN) - value) <= tolerance * scale,
      `${i}: ${found?.[i]} is not ${value}`,
    );
  }
}
