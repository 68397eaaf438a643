import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { SeededRandom, TrommelError, headRecipe, type HeadRecipe, type HeadWeights } from "@trommel/common";
import { GraphBuilder } from "@trommel/gpu-worker/graph/graph-builder";
import { loadTensorflow } from "@trommel/gpu-worker/graph/tensorflow";
import { lossFigures, smoothedTargets } from "@trommel/gpu-worker/head/cross-entropy";
import { checkHeadWeights, initialWeights } from "@trommel/gpu-worker/head/head-model";
import { HeadNetwork } from "@trommel/gpu-worker/head/head-network";
import { emitHead } from "@trommel/gpu-worker/head/head-to-onnx";
import { predictLogits, predictProbabilities } from "@trommel/gpu-worker/head/predict-head";

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

const goldenFile = new URL("../../golden/head.json", import.meta.url);

const heads: readonly HeadRecipe[] = [
  headRecipe.parse({ type: "se", reduction: 4 }),
  headRecipe.parse({ type: "linear" }),
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

    it(`has the gradients that finite differences give: ${title}`, async () => {
      const { tf } = await loadTensorflow();
      const weights = shaken(initialWeights(head, 6, 3, 2));
      const features = normals(5 * 6, 3);
      const labels = Int32Array.of(0, 1, 2, 1, 0);
      const network = new HeadNetwork(tf, head, weights);
      const batch = { features, targets: smoothedTargets(labels, 3, 0.1), rows: 5 };
      const { gradients } = network.gradients(batch, []);
      const lossOf = () => lossFigures(predictLogits(head, weights, features, 5), labels, 3, 0.1).loss / 5;
      for (const [name, { data }] of Object.entries(weights)) {
        for (const i of data.keys()) {
          const centre = data[i] as number;
          const step = 1 / 256;
          data[i] = centre + step;
          const above = lossOf();
          data[i] = centre - step;
          const below = lossOf();
          data[i] = centre;
          close(gradients[name]?.[i] ?? Number.NaN, (above - below) / (2 * step), 1e-3);
        }
      }
    });
  }

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
