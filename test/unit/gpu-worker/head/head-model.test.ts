import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { SeededRandom, TrommelError, headRecipe, type HeadRecipe, type HeadWeights } from "@trommel/common";
import { GraphBuilder } from "#gpu-worker/graph/graph-builder";
import { loadTensorflow } from "#gpu-worker/graph/tensorflow";
import { smoothedTargets } from "#gpu-worker/head/model/cross-entropy";
import { factorLayers } from "#gpu-worker/head/noise/dropout-factors";
import { checkHeadWeights, initialWeights } from "#gpu-worker/head/model/head-model";
import { HeadNetwork } from "#gpu-worker/head/tfjs/head-network";
import { emitHead } from "#gpu-worker/head/model/head-to-onnx";
import { predictLogits, predictProbabilities } from "#gpu-worker/head/model/predict-head";
import { factorsOf } from "../../../support/runs/toy-problem.js";

interface HeadGolden {
  readonly se: {
    readonly rows: number;
    readonly reduction: number;
    readonly weights: Readonly<Record<string, { readonly shape: number[]; readonly data: number[] }>>;
    readonly features: number[];
    readonly logits: number[];
    readonly probabilities: number[];
  };
}

const goldenFile = new URL("../../../../golden/head.json", import.meta.url);

const heads: readonly HeadRecipe[] = [
  headRecipe.parse({ type: "se", reduction: 4 }),
  headRecipe.parse({ type: "se", reduction: 4, activation: "relu", outputDropout: 0.3 }),
  headRecipe.parse({ type: "linear", dropout: 0.2 }),
  headRecipe.parse({ type: "linear", bias: false }),
  headRecipe.parse({ type: "mlp", hidden: [9, 5], activation: "swish" }),
  headRecipe.parse({ type: "mlp", hidden: [8], activation: "relu" }),
  headRecipe.parse({ type: "mlp", hidden: [8], activation: "tanh" }),
];

describe("head", () => {
  it("gives numpy's logits and probabilities for squeeze and excitation, in both implementations", async () => {
    const { se } = JSON.parse(readFileSync(goldenFile, "utf8")) as HeadGolden;
    const head = headRecipe.parse({ type: "se", reduction: se.reduction });
    const weights: HeadWeights = Object.fromEntries(
      Object.entries(se.weights).map(([name, { shape, data }]) => {
        return [name, { shape, data: Float32Array.from(data) }];
      }),
    );
    const features = Float32Array.from(se.features);
    closeAll(predictLogits(head, weights, features, se.rows), se.logits, 1e-6);
    closeAll(predictProbabilities(head, weights, features, se.rows), se.probabilities, 1e-6);
    const { tf } = await loadTensorflow();
    closeAll(new HeadNetwork(tf, head, weights).logits(features, se.rows), se.logits, 1e-5);
  });

  for (const head of heads) {
    const title = JSON.stringify(head);

    it(`gives the same logits in ONNX Runtime and TensorFlow.js: ${title}`, async () => {
      const weights = shaken(initialWeights(head, 13, 4, 5));
      const features = normals(7 * 13, 6);
      const expected = predictLogits(head, weights, features, 7);
      const { tf } = await loadTensorflow();
      closeAll(new HeadNetwork(tf, head, weights).logits(features, 7), expected, 1e-5);
      const builder = new GraphBuilder();
      const logits = emitHead(builder, builder.input("x", "float32", ["n", 13]), weights, head);
      builder.output("logits", "float32", ["n", 4], logits);
      closeAll(await runGraph(builder, features, [7, 13]), expected, 1e-6);
    });

    it(`has the gradients that finite differences give, with its noise and without: ${title}`, async () => {
      const { tf } = await loadTensorflow();
      const weights = shaken(initialWeights(head, 6, 3, 2));
      const features = normals(5 * 6, 3);
      const labels = Int32Array.of(0, 1, 2, 1, 0);
      const batch = { features, targets: smoothedTargets(labels, 3, 0.1), rows: 5 };
      const drawn = new Map(
        factorLayers(head, 6, 4).map((layer) => [
          layer.place,
          { width: layer.width, data: factorsOf(layer, 5) },
        ]),
      );
      const noise = [...drawn].map(([place, { width, data }]) => {
        return { place, width, fill: (values: Float32Array) => values.set(data) };
      });
      for (const factors of [new Map<string, Factors>(), drawn]) {
        const network = new HeadNetwork(tf, head, weights);
        const { gradients, logits } = network.gradients(batch, factors.size === 0 ? [] : noise);
        const logitsOf = () => handLogits(head, weights, features, 5, factors);
        closeAll(logits, logitsOf(), 1e-5);
        const lossOf = () => smoothedLoss(logitsOf(), labels, 3, 0.1);
        for (const [name, { data }] of Object.entries(weights)) {
          for (const i of data.keys()) {
            const centre = data[i] as number;
            const step = 1 / 1024;
            data[i] = centre + step;
            const above = lossOf();
            data[i] = centre - step;
            const below = lossOf();
            data[i] = centre;
            close(gradients[name]?.[i] ?? Number.NaN, (above - below) / (2 * step), 1e-4);
          }
        }
      }
    });
  }

  it("gates pooled features exactly as squeeze-and-excitation gates the map before its pooling", async () => {
    // By hand in float64: mean_hw(m · s) with s = sigmoid(W2 · relu(W1 · mean_hw(m))), for m of [height, width, channels].
    const [height, width, channels, count] = [7, 5, 12, 4];
    const head = headRecipe.parse({ type: "se", reduction: 4, activation: "relu", dropout: 0 });
    const weights = shaken(initialWeights(head, channels, 3, 8));
    const maps = normals(count * height * width * channels, 9);
    const pooledGated: number[] = [];
    const pooled: number[] = [];
    for (let image = 0; image < count; image += 1) {
      const map = Array.from({ length: height * width }, (_, pixel) => {
        const start = (image * height * width + pixel) * channels;
        return [...maps.subarray(start, start + channels)].map((value) => Math.max(value, 0));
      });
      const mean = (pixels: readonly (readonly number[])[]) =>
        Array.from(
          { length: channels },
          (_, c) => pixels.reduce((sum, p) => sum + (p[c] ?? 0), 0) / pixels.length,
        );
      const hidden = handDense(mean(map), weights, "squeeze").map((value) => Math.max(value, 0));
      const scale = handDense(hidden, weights, "excite").map((value) => 1 / (1 + Math.exp(-value)));
      pooledGated.push(...mean(map.map((pixel) => pixel.map((value, c) => value * (scale[c] ?? 0)))));
      pooled.push(...mean(map));
    }
    const expected = Array.from({ length: count }, (_, i) =>
      handDense(pooledGated.slice(i * channels, (i + 1) * channels), weights, "output"),
    ).flat();
    const features = Float32Array.from(pooled);
    closeAll(predictLogits(head, weights, features, count), expected, 1e-6);
    const { tf } = await loadTensorflow();
    closeAll(new HeadNetwork(tf, head, weights).logits(features, count), expected, 1e-5);
  });

  it("begins with zero biases and kernels within the limit of their scheme, filled to it", () => {
    const se = initialWeights(headRecipe.parse({ type: "se" }), 200, 6, 1);
    assert.deepEqual(se["squeeze.kernel"]?.shape, [200, 13]);
    assert.deepEqual(se["excite.kernel"]?.shape, [13, 200]);
    for (const [name, limit] of [
      ["squeeze.kernel", Math.sqrt(1 / 13)],
      ["excite.kernel", Math.sqrt(1 / 200)],
      ["output.kernel", Math.sqrt(1 / 6)],
    ] as const) {
      const data = se[name]?.data ?? new Float32Array();
      const largest = data.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
      assert.ok(largest <= limit + 1e-6 && largest > 0.98 * limit, `${name}: ${largest} against ${limit}`);
    }
    assert.ok(se["squeeze.bias"]?.data.every((value) => value === 0));
    const linear = initialWeights(headRecipe.parse({ type: "linear", bias: false }), 200, 6, 1);
    assert.deepEqual(Object.keys(linear), ["output.kernel"]);
    assert.deepEqual(initialWeights(headRecipe.parse({ type: "se" }), 200, 6, 1), se);
    assert.notDeepEqual(initialWeights(headRecipe.parse({ type: "se" }), 200, 6, 2), se);
  });

  it("begins linear and hidden layers by Glorot's uniform scheme, which is Xavier's", () => {
    // keras.initializers.VarianceScaling(scale=1, mode="fan_avg", distribution="uniform"): limit = sqrt(3 · scale / fan).
    const limitOf = (inputs: number, outputs: number) => Math.sqrt((3 * 1) / ((inputs + outputs) / 2));
    const mlp = initialWeights(headRecipe.parse({ type: "mlp", hidden: [40] }), 300, 12, 1);
    const linear = initialWeights(headRecipe.parse({ type: "linear" }), 300, 12, 1);
    for (const [tensor, inputs, outputs] of [
      [mlp["hidden1.kernel"], 300, 40],
      [mlp["output.kernel"], 40, 12],
      [linear["output.kernel"], 300, 12],
    ] as const) {
      assert.deepEqual(tensor?.shape, [inputs, outputs]);
      const data = tensor?.data ?? new Float32Array();
      const limit = limitOf(inputs, outputs);
      const largest = data.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
      assert.ok(largest <= limit + 1e-6 && largest > 0.98 * limit, `${largest} against ${limit}`);
      // Uniform in ±limit has the variance limit² / 3 = 2 / (inputs + outputs), Glorot & Bengio's equation 12.
      const variance = data.reduce((sum, value) => sum + value ** 2, 0) / data.length;
      assert.ok(Math.abs(variance / (2 / (inputs + outputs)) - 1) < 0.15, `${variance}`);
    }
  });

  it("refuses weights of another head, of other shapes, or with more than it has", () => {
    const head = headRecipe.parse({ type: "se" });
    const weights = initialWeights(head, 20, 3, 0);
    assert.deepEqual(checkHeadWeights(head, weights), { featureCount: 20, classCount: 3 });
    const { "excite.bias": bias, ...rest } = weights;
    assert.ok(bias);
    const other = { shape: [19], data: new Float32Array(19) };
    for (const wrong of [{}, rest, { ...rest, "excite.bias": other }, { ...weights, extra: other }]) {
      assert.throws(() => checkHeadWeights(head, wrong), isCorrupt);
    }
    assert.throws(() => checkHeadWeights(headRecipe.parse({ type: "linear" }), weights), isCorrupt);
  });
});

function isCorrupt(thrown: unknown): boolean {
  return thrown instanceof TrommelError && thrown.code === "corrupt";
}

interface Factors {
  readonly width: number;
  readonly data: Float32Array;
}

/** The head with its noise, written out in float64 once more. */
function handLogits(
  head: HeadRecipe,
  weights: HeadWeights,
  features: Float32Array,
  rows: number,
  factors: ReadonlyMap<string, Factors>,
): number[] {
  const swish = (value: number) => value / (1 + Math.exp(-value));
  const activations = { relu: (value: number) => Math.max(value, 0), swish, tanh: Math.tanh };
  const featureCount = features.length / rows;
  return Array.from({ length: rows }, (_, row) => {
    const dropped = (values: readonly number[], place: string) => {
      const layer = factors.get(place);
      return values.map((value, i) => value * (layer?.data[row * layer.width + i] ?? 1));
    };
    const x = [...features.subarray(row * featureCount, (row + 1) * featureCount)];
    if (head.type === "linear") return handDense(dropped(x, "features"), weights, "output");
    if (head.type === "mlp") {
      let h = x;
      for (const [i] of head.hidden.entries()) {
        const name = `hidden${i + 1}`;
        h = dropped(handDense(h, weights, name).map(activations[head.activation]), name);
      }
      return handDense(h, weights, "output");
    }
    const squeezed = handDense(dropped(x, "features"), weights, "squeeze").map(activations[head.activation]);
    const gate = handDense(squeezed, weights, "excite").map((value) => 1 / (1 + Math.exp(-value)));
    const gated = x.map((value, i) => value * (gate[i] ?? 0));
    return handDense(dropped(gated, "gated"), weights, "output");
  }).flat();
}

function handDense(x: readonly number[], weights: HeadWeights, name: string): number[] {
  const kernel = weights[`${name}.kernel`];
  const outputs = kernel?.shape[1] ?? 0;
  return Array.from({ length: outputs }, (_, j) => {
    const bias = weights[`${name}.bias`]?.data[j] ?? 0;
    return x.reduce((sum, value, i) => sum + value * (kernel?.data[i * outputs + j] ?? Number.NaN), bias);
  });
}

/** Mean cross-entropy against smoothed targets. */
function smoothedLoss(
  logits: readonly number[],
  labels: Int32Array,
  classes: number,
  smoothing: number,
): number {
  let loss = 0;
  for (const [row, label] of labels.entries()) {
    const values = logits.slice(row * classes, (row + 1) * classes);
    const norm = Math.log(values.reduce((sum, value) => sum + Math.exp(value), 0));
    for (const [j, value] of values.entries()) {
      loss += (smoothing / classes + (j === label ? 1 - smoothing : 0)) * (norm - value);
    }
  }
  return loss / labels.length;
}

/** Weights with biases that are not zero, so that a forgotten bias shows. */
function shaken(weights: HeadWeights): HeadWeights {
  const random = new SeededRandom(99);
  for (const { data } of Object.values(weights)) {
    for (const i of data.keys()) data[i] = (data[i] as number) + 0.3 * random.normal();
  }
  return weights;
}

function normals(length: number, seed: number): Float32Array {
  const random = new SeededRandom(seed);
  return Float32Array.from({ length }, () => random.normal());
}

async function runGraph(builder: GraphBuilder, x: Float32Array, shape: number[]): Promise<Float32Array> {
  const session = await InferenceSession.create(builder.encode(), { intraOpNumThreads: 1 });
  const outputs = await session.run({ x: new Tensor("float32", x, shape) });
  const data = Object.values(outputs)[0]?.data as Float32Array;
  await session.release();
  return data;
}

function closeAll(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number): void {
  assert.equal(actual.length, expected.length);
  for (let i = 0; i < expected.length; i += 1) close(actual[i] as number, expected[i] as number, tolerance);
}

/** The tolerance is relative above one, absolute below. */
function close(actual: number, expected: number, tolerance: number): void {
  const allowed = tolerance * Math.max(1, Math.abs(expected));
  assert.ok(Math.abs(actual - expected) <= allowed, `${actual} is not within ${tolerance} of ${expected}`);
}
