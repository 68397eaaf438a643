import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SeededRandom, TrommelError, headRecipe, trainingRecipe, type EpochRecord } from "@trommel/common";
import { loadTensorflow } from "#gpu-worker/graph/tensorflow";
import { lossFigures, smoothedTargets } from "#gpu-worker/head/model/cross-entropy";
import { factorLayers, type FactorLayer } from "#gpu-worker/head/noise/dropout-factors";
import { NoiseGenerator } from "#gpu-worker/head/noise/noise-generator";
import { predictLogits } from "#gpu-worker/head/model/predict-head";
import { trainHead } from "#gpu-worker/head/train-head";
import { factorsOf, short, toyProblem } from "../../../support/runs/toy-problem.js";

const engines = ["onnx", "tfjs"] as const;

describe("head training", () => {
  for (const [type, engine] of ["se", "linear", "mlp"].flatMap((type) =>
    engines.map((engine) => [type, engine] as const),
  )) {
    it(`learns classes that can be separated, and nothing from shuffled labels: ${type}, ${engine}`, async () => {
      const head = headRecipe.parse({ type });
      const learnt = await trainHead({ ...toyProblem(head), engine });
      assert.ok(bestAccuracy(learnt.history) > 0.95, `${bestAccuracy(learnt.history)}`);
      const shuffled = { ...toyProblem(head), engine };
      new SeededRandom(4).shuffle(shuffled.train.labels);
      const guessed = await trainHead(shuffled);
      assert.ok(bestAccuracy(guessed.history) < 0.6, `${bestAccuracy(guessed.history)}`);
    });
  }

  // Every optimiser and every schedule, in half of the pairs.
  const schedules = ["plateau", "constant", "cosine", "square"];
  for (const [index, optimizer] of [
    { type: "adam", learningRate: 0.01, weightDecay: 1e-4 },
    { type: "adamw", learningRate: 0.01 },
    { type: "nadam", learningRate: 0.01 },
    { type: "sgd", learningRate: 0.1, weightDecay: 1e-4 },
    { type: "sgd", learningRate: 0.1, nesterov: true },
  ].entries()) {
    for (const type of schedules.filter((_, at) => (at + index) % 2 === 0)) {
      it(`learns by ${JSON.stringify(optimizer)} on a ${type} schedule`, async () => {
        const schedule = { type, warmupEpochs: 2 };
        const training = trainingRecipe.parse({ epochs: 15, batchSize: 32, optimizer, schedule });
        const { history } = await trainHead({ ...toyProblem(headRecipe.parse({ type: "se" })), training });
        assert.ok(bestAccuracy(history) > 0.95, `${bestAccuracy(history)}`);
        const rates = history.map(({ learningRate }) => learningRate / optimizer.learningRate);
        assert.ok(Math.abs((rates[0] ?? 0) - 0.5) < 1e-9 && Math.abs((rates[1] ?? 0) - 1) < 1e-9);
        const falls = type === "cosine" || type === "square";
        assert.equal((rates.at(-1) ?? 1) < 0.02, falls, `${rates.at(-1)}`);
      });
    }
  }

  it("keeps the weights of the best epoch, which predict what its record says", async () => {
    const inputs = toyProblem(headRecipe.parse({ type: "se" }));
    const { weights, bestEpoch, history } = await trainHead(inputs);
    const best = bestAccuracy(history);
    assert.equal(
      bestEpoch,
      history.findLastIndex(({ validationAccuracy }) => validationAccuracy === best) + 1,
    );
    const { features, labels } = inputs.validation;
    const rows = labels.length;
    const logits = predictLogits(inputs.head, weights, features, rows);
    const { loss, correct } = lossFigures(logits, labels, inputs.classCount, 0);
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
      for (const engine of engines) {
        const inputs = { ...toyProblem(headRecipe.parse({ type, dropout: 0.4 })), training: short, engine };
        const tensors = tf.memory().numTensors;
        const first = await trainHead(inputs);
        assert.equal(tf.memory().numTensors, tensors);
        assert.deepEqual(await trainHead(inputs), first);
        assert.notDeepEqual((await trainHead({ ...inputs, seed: 8 })).weights, first.weights);
      }
    }
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
    const empty = { features: new Float32Array(), labels: new Int32Array() };
    await assert.rejects(trainHead({ ...inputs, validation: empty }), isError("bad-dataset"));
    await assert.rejects(trainHead({ ...inputs, classCount: 2 }), isError("internal"));
    const broken = { ...inputs.train, features: inputs.train.features.slice().fill(Number.NaN, 0, 3) };
    await assert.rejects(trainHead({ ...inputs, train: broken }), isError("bad-dataset"));
    const refit = { ...inputs.training, refit: true };
    await assert.rejects(trainHead({ ...inputs, training: refit }), isError("internal"));
  });
});

describe("loss", () => {
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
  it("draws the bits of xoshiro128++, in bulk as one by one", () => {
    // Made by the published C code (Blackman & Vigna, xoshiro128plusplus.c) from the first four draws of SeededRandom.
    for (const [seed, expected] of [
      [0, [921341, 2350070551, 606418163, 3235707552, 2628784153, 3076243382]],
      [-5, [818381324, 2706481407, 4140347916, 2719485022, 3676997355, 2870160754]],
    ] as const) {
      const single = new NoiseGenerator(seed);
      assert.deepEqual(
        expected.map(() => single.bits() >>> 0),
        [...expected],
      );
      const bulk = new NoiseGenerator(seed);
      for (const count of [3, 40_000, 1, 2000]) {
        const mask = new Float32Array(count);
        bulk.fillMask(mask, 0.25);
        if (count === 3) {
          assert.deepEqual(
            [...mask],
            expected.slice(0, 3).map((bits) => (bits >= 0.25 * 2 ** 32 ? Math.fround(4 / 3) : 0)),
          );
          for (let i = 3; i < 6; i += 1) assert.equal(bulk.bits() >>> 0, expected[i]);
          for (let i = 0; i < 3; i += 1) bulk.bits();
          for (let i = 0; i < 3; i += 1) single.bits();
          continue;
        }
        assert.deepEqual(
          mask,
          Float32Array.from({ length: count }, () => (single.bits() >>> 0 >= 2 ** 30 ? 4 / 3 : 0)),
        );
      }
    }
  });

  it("makes normal numbers by the ziggurat's rule from those bits, whatever is drawn between", () => {
    for (const seed of [0, 1, -5, 0x7fffffff]) {
      const single = new NoiseGenerator(seed);
      const bulk = new NoiseGenerator(seed);
      for (const count of [3, 40_000, 1, 2000]) {
        const normal = new Float32Array(count);
        bulk.fillNormal(normal, 0.7);
        assert.deepEqual(
          normal,
          Float32Array.from({ length: count }, () => 1 + 0.7 * ziggurat(() => single.bits())),
        );
        assert.equal(bulk.bits(), single.bits());
      }
    }
  });

  it("is standard normal in its moments, its tail and its distribution", () => {
    const count = 400_000;
    const drawn = new Float32Array(count);
    // Factors are 1 + deviation · x: at this deviation the 1 is smaller than the rounding of float32.
    new NoiseGenerator(17).fillNormal(drawn, 2 ** 40);
    const values = Float64Array.from(drawn, (value) => value / 2 ** 40).sort();
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
    assert.ok(gaussian !== undefined);
    const values = factorsOf(gaussian, 10_000);
    const mean = values.reduce((a, b) => a + b, 0) / values.length;
    const variance = values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length;
    assert.ok(Math.abs(mean - 1) < 0.01 && Math.abs(variance - 0.25) < 0.01);
    const layers = factorLayers(headRecipe.parse({ type: "mlp", hidden: [7, 3], dropout: 0.75 }), 10, 1);
    assert.deepEqual(
      layers.map(({ width }) => width),
      [7, 3],
    );
    assert.ok(layers[0] !== undefined);
    const mask = factorsOf(layers[0], 15_000);
    assert.deepEqual(new Set(mask), new Set([0, 4]));
    assert.ok(Math.abs(mask.reduce((a, b) => a + b, 0) / mask.length - 1) < 0.03);
    assert.deepEqual(factorLayers(headRecipe.parse({ type: "linear" }), 10, 1), []);
    const both = factorLayers(headRecipe.parse({ type: "se", dropout: 0.5, outputDropout: 0.75 }), 10, 1);
    assert.deepEqual(
      both.map(({ place, width }) => [place, width]),
      [
        ["features", 10],
        ["gated", 10],
      ],
    );
    assert.deepEqual(new Set(factorsOf(both[1] as FactorLayer, 100)), new Set([0, 4]));
  });
});

/**
 * A standard normal number by the ziggurat of Marsaglia & Tsang (2000), section 2, written from the paper: the layers'
 * right edges x from the tail's start inwards, each layer of the same area.
 */
function ziggurat(bits: () => number): number {
  const [r, v] = [3.442619855899, 9.91256303526217e-3];
  const f = (x: number) => Math.exp(-0.5 * x * x);
  const edges = [v / f(r), r];
  while (edges.length < 128) {
    const x = edges.at(-1) as number;
    edges.push(Math.sqrt(-2 * Math.log(v / x + f(x))));
  }
  edges.push(0);
  // The paper numbers the layers from the bottom (0, with the tail), then from the top of the curve (1) downwards.
  const unit = () => SeededRandom.unitFrom(bits);
  for (;;) {
    const drawn = bits();
    const layer = drawn & 127;
    const at = layer === 0 ? 0 : 128 - layer;
    const x = (drawn * (edges[at] as number)) / 2 ** 31;
    if (Math.abs(x) < (edges[at + 1] as number)) return x;
    if (layer === 0) {
      for (;;) {
        const tail = -Math.log(1 - unit()) / r;
        const y = -Math.log(1 - unit());
        if (y + y >= tail * tail) return drawn > 0 ? r + tail : -r - tail;
      }
    }
    const low = f(edges[at] as number);
    const high = layer === 1 ? 1 : f(edges[at + 1] as number);
    if (low + unit() * (high - low) < f(x)) return x;
  }
}

function bestAccuracy(history: readonly EpochRecord[]): number {
  return Math.max(...history.map(({ validationAccuracy }) => validationAccuracy));
}

function isError(code: string) {
  return (thrown: unknown) => thrown instanceof TrommelError && thrown.code === code;
}
