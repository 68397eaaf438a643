import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import {
  SeededRandom,
  TrommelError,
  headRecipe,
  trainingRecipe,
  type EpochRecord,
  type HeadRecipe,
} from "@trommel/common";
import { loadTensorflow } from "@trommel/gpu-worker/graph/tensorflow";
import { Adam } from "@trommel/gpu-worker/head/adam";
import { lossFigures, smoothedTargets } from "@trommel/gpu-worker/head/cross-entropy";
import { factorLayers } from "@trommel/gpu-worker/head/dropout-factors";
import { NormalNoise } from "@trommel/gpu-worker/head/normal-noise";
import { PlateauSchedule } from "@trommel/gpu-worker/head/plateau-schedule";
import { predictLogits } from "@trommel/gpu-worker/head/predict-head";
import { keepsBetter, trainHead, type TrainHeadInputs } from "@trommel/gpu-worker/head/train-head";

interface AdamGolden {
  readonly adam: {
    readonly start: number[];
    readonly gradients: number[][];
    readonly rate: number;
    readonly end: number[];
  };
}

const goldenFile = new URL("../../golden/head.json", import.meta.url);

describe("head training", () => {
  for (const type of ["se", "linear", "mlp"]) {
    it(`learns classes that can be separated, and nothing from shuffled labels: ${type}`, async () => {
      const head = headRecipe.parse({ type });
      const learnt = await trainHead(toyProblem(head));
      assert.ok(bestAccuracy(learnt.history) > 0.95, `${bestAccuracy(learnt.history)}`);
      const shuffled = toyProblem(head);
      new SeededRandom(4).shuffle(shuffled.labels);
      const guessed = await trainHead(shuffled);
      assert.ok(bestAccuracy(guessed.history) < 0.6, `${bestAccuracy(guessed.history)}`);
    });
  }

  it("keeps the weights of the best epoch, which predict what its record says", async () => {
    const inputs = toyProblem(headRecipe.parse({ type: "se" }));
    const { weights, bestEpoch, history } = await trainHead(inputs);
    const best = bestAccuracy(history);
    assert.equal(
      bestEpoch,
      history.findLastIndex(({ validationAccuracy }) => validationAccuracy === best) + 1,
    );
    const rows = inputs.validationLabels.length;
    const logits = predictLogits(inputs.head, weights, inputs.validationFeatures, rows);
    const { loss, correct } = lossFigures(logits, inputs.validationLabels, inputs.classCount, 0);
    assert.equal(correct / rows, best);
    assert.ok(Math.abs(loss / rows - (history[bestEpoch - 1]?.validationLoss ?? 0)) < 1e-5);
    assert.deepEqual(
      history.map(({ epoch }) => epoch),
      Array.from({ length: inputs.training.epochs }, (_, i) => i + 1),
    );
  });

  it("gives the same bytes for the same inputs, others for another seed, and leaves no tensor", async () => {
    const { tf } = await loadTensorflow();
    for (const type of ["se", "linear", "mlp"]) {
      const inputs = { ...toyProblem(headRecipe.parse({ type, dropout: 0.4 })), training: short };
      const tensors = tf.memory().numTensors;
      const first = await trainHead(inputs);
      assert.equal(tf.memory().numTensors, tensors);
      assert.deepEqual(await trainHead(inputs), first);
      assert.notDeepEqual((await trainHead({ ...inputs, seed: 8 })).weights, first.weights);
    }
  });

  it("prefers the later epoch on a tie", () => {
    assert.ok(keepsBetter({ validationAccuracy: 0.5 }, { accuracy: 0.5 }));
    assert.ok(keepsBetter({ validationAccuracy: 0.6 }, { accuracy: 0.5 }));
    assert.ok(!keepsBetter({ validationAccuracy: 0.4 }, { accuracy: 0.5 }));
  });

  it("reports each epoch and stops between two when it is cancelled", async () => {
    const abort = new AbortController();
    const seen: number[] = [];
    const inputs = toyProblem(headRecipe.parse({ type: "linear" }));
    const onEpoch = ({ epoch }: EpochRecord) => {
      seen.push(epoch);
      if (epoch === 2) abort.abort();
    };
    await assert.rejects(trainHead({ ...inputs, signal: abort.signal, onEpoch }), isError("cancelled"));
    assert.deepEqual(seen, [1, 2]);
  });

  it("refuses no validation rows, labels outside the classes and features that are not finite", async () => {
    const inputs = toyProblem(headRecipe.parse({ type: "se" }));
    const empty = { validationFeatures: new Float32Array(), validationLabels: new Int32Array() };
    await assert.rejects(trainHead({ ...inputs, ...empty }), isError("bad-dataset"));
    await assert.rejects(trainHead({ ...inputs, classCount: 2 }), isError("internal"));
    const broken = inputs.features.slice().fill(Number.NaN, 0, 3);
    await assert.rejects(trainHead({ ...inputs, features: broken }), isError("bad-dataset"));
  });
});

describe("optimiser and schedule", () => {
  it("steps as Keras's Adam does in numpy", () => {
    const { adam } = JSON.parse(readFileSync(goldenFile, "utf8")) as AdamGolden;
    const weight = Float32Array.from(adam.start);
    const recipe = trainingRecipe.parse({}).optimizer;
    assert.ok(recipe.type === "adam");
    const optimizer = new Adam(recipe);
    for (const gradient of adam.gradients) {
      optimizer.apply(new Map([["w", weight]]), { w: Float32Array.from(gradient) }, adam.rate);
    }
    for (const [i, value] of adam.end.entries()) assert.ok(Math.abs((weight[i] ?? 9) - value) < 1e-6);
  });

  it("cuts the learning rate as Keras's ReduceLROnPlateau does", () => {
    const schedule = new PlateauSchedule(
      { type: "plateau", factor: 0.2, patience: 2, minimum: 0.005, warmupEpochs: 0 },
      1,
    );
    // By hand: 0.99995 is no improvement by more than 1e-4 on 1; a wait of two cuts; an improvement resets the wait.
    const steps: readonly (readonly [loss: number, rateAfter: number])[] = [
      [1, 1],
      [0.99995, 1],
      [0.9, 1],
      [0.95, 1],
      [0.9, 0.2],
      [0.91, 0.2],
      [0.8999, 0.04],
      [0.8998, 0.04],
      [0.9, 0.04],
      [0.9, 0.008],
      [0.9, 0.008],
      [0.9, 0.005],
      [0.9, 0.005],
      [0.9, 0.005],
    ];
    for (const [index, [loss, rateAfter]] of steps.entries()) {
      schedule.epochEnded(loss);
      assert.ok(
        Math.abs(schedule.learningRate - rateAfter) < 1e-12,
        `epoch ${index + 1}: ${schedule.learningRate}`,
      );
    }
  });

  it("smooths targets and counts the loss of them", () => {
    const targets = smoothedTargets(Int32Array.of(2), 4, 0.2);
    for (const [i, value] of [0.05, 0.05, 0.85, 0.05].entries())
      assert.ok(Math.abs((targets[i] ?? 9) - value) < 1e-7);
    // Two classes with logits ln 3 and 0: probabilities 3/4 and 1/4.
    const logits = Float32Array.of(Math.log(3), 0);
    const plain = lossFigures(logits, Int32Array.of(1), 2, 0);
    assert.ok(Math.abs(plain.loss - Math.log(4)) < 1e-6);
    assert.equal(plain.correct, 0);
    const smoothed = lossFigures(logits, Int32Array.of(1), 2, 0.2);
    assert.ok(Math.abs(smoothed.loss - (0.9 * Math.log(4) + 0.1 * Math.log(4 / 3))) < 1e-6);
  });
});

describe("noise", () => {
  it("is standard normal in its moments, its tail and its distribution", () => {
    const noise = new NormalNoise(new SeededRandom(17));
    const count = 400_000;
    const values = Float64Array.from({ length: count }, () => noise.next()).sort();
    const moment = (power: number) => values.reduce((sum, value) => sum + value ** power, 0) / count;
    const expected: readonly (readonly [power: number, value: number, deviation: number])[] = [
      [1, 0, 1],
      [2, 1, Math.sqrt(2)],
      [3, 0, Math.sqrt(15)],
      [4, 3, Math.sqrt(96)],
    ];
    for (const [power, value, deviation] of expected) {
      assert.ok(Math.abs(moment(power) - value) < (5 * deviation) / Math.sqrt(count), `moment ${power}`);
    }
    // Quantiles of the standard normal distribution, from tables; the last lies beyond the ziggurat's tail.
    for (const [quantile, share] of [
      [-1.959964, 0.025],
      [-0.67449, 0.25],
      [0, 0.5],
      [0.841621, 0.8],
      [2.326348, 0.99],
      [3.5, 0.99976737],
    ] as const) {
      const below = values.findIndex((value) => value > quantile) / count;
      const deviation = Math.sqrt((share * (1 - share)) / count);
      assert.ok(Math.abs(below - share) < 5 * deviation, `${below} below ${quantile}`);
    }
  });

  it("has mean one, the deviation of its rate, and no layer without a rate", () => {
    const [gaussian] = factorLayers(headRecipe.parse({ type: "se", dropout: 0.2 }), 10, 1);
    const values = gaussian?.draw(100_000) ?? new Float32Array();
    const mean = values.reduce((a, b) => a + b, 0) / values.length;
    const variance = values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length;
    assert.ok(Math.abs(mean - 1) < 0.01 && Math.abs(variance - 0.25) < 0.01);
    const layers = factorLayers(headRecipe.parse({ type: "mlp", hidden: [7, 3], dropout: 0.75 }), 10, 1);
    assert.deepEqual(
      layers.map(({ width }) => width),
      [7, 3],
    );
    const mask = layers[0]?.draw(100_000) ?? new Float32Array();
    assert.deepEqual(new Set(mask), new Set([0, 4]));
    assert.ok(Math.abs(mask.reduce((a, b) => a + b, 0) / mask.length - 1) < 0.03);
    assert.deepEqual(factorLayers(headRecipe.parse({ type: "linear" }), 10, 1), []);
  });
});

const short = trainingRecipe.parse({
  epochs: 3,
  batchSize: 32,
  optimizer: { type: "adam", learningRate: 0.01 },
});

/** Three clouds in twelve dimensions that a straight cut separates; the training rows do not fill the last batch. */
function toyProblem(head: HeadRecipe): TrainHeadInputs {
  const random = new SeededRandom(12);
  const centres = Array.from({ length: 3 }, () => Array.from({ length: 12 }, () => 0.5 * random.normal()));
  const draw = (count: number) => {
    const labels = Int32Array.from({ length: count }, (_, i) => i % 3);
    const features = new Float32Array(count * 12);
    for (const [i, label] of labels.entries()) {
      for (const [j, centre] of (centres[label] ?? []).entries())
        features[i * 12 + j] = centre + 0.2 * random.normal();
    }
    return { features, labels };
  };
  const training = draw(310);
  const validation = draw(99);
  return {
    ...training,
    validationFeatures: validation.features,
    validationLabels: validation.labels,
    classCount: 3,
    head,
    training: { ...short, epochs: 15 },
    seed: 7,
  };
}

function bestAccuracy(history: readonly EpochRecord[]): number {
  return Math.max(...history.map(({ validationAccuracy }) => validationAccuracy));
}

function isError(code: string) {
  return (thrown: unknown) => thrown instanceof TrommelError && thrown.code === code;
}
