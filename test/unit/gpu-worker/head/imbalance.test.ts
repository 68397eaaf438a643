import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { headRecipe, trainingRecipe, TrommelError, type EpochRecord } from "@trommel/common";
import { batchClassWeights } from "#gpu-worker/head/batches/class-weights";
import { EpochBatches } from "#gpu-worker/head/batches/epoch-batches";
import { epochOrder } from "#gpu-worker/head/batches/epoch-order";
import { drawMixture } from "#gpu-worker/head/batches/mixup";
import { JoinedRows, type RowSet } from "#gpu-worker/head/model/row-set";
import { predictLogits } from "#gpu-worker/head/model/predict-head";
import { trainHead, type TrainHeadInputs } from "#gpu-worker/head/train-head";
import { toyProblem } from "../../../support/runs/toy-problem.js";

const engines = ["onnx", "tfjs"] as const;
const seed = 4;

describe("class weights", () => {
  for (const engine of engines) {
    it(`of whole numbers do what rows given that often would: ${engine}`, async () => {
      const head = headRecipe.parse({ type: "mlp", hidden: [5], activation: "tanh", dropout: 0 });
      const { train, ...inputs } = withFewer(toyProblem(head));
      const names = ["a", "b", "c"];
      const often = [3, 1, 2];
      const repeated = [...train.labels].flatMap((label, row) =>
        new Array<number>(often[label] ?? 0).fill(row),
      );
      // All rows in each step, so that their order does not matter.
      const setting = { epochs: 4, batchSize: 1000, labelSmoothing: 0.1, keep: "last" };
      const optimizer = { type: "sgd", learningRate: 0.3 };
      const training = trainingRecipe.parse({ ...setting, optimizer });
      const weighted = { ...training, classWeights: { a: 3, c: 2 } };
      const expected = await trainHead({ ...inputs, train: rowsOf(train, repeated), training, engine });
      const found = await trainHead({ ...inputs, train, training: weighted, classNames: names, engine });
      for (const [name, { data }] of Object.entries(expected.weights)) {
        for (const [i, value] of data.entries()) close(found.weights[name]?.data[i], value, 2e-5);
      }
      for (const [i, record] of expected.history.entries()) {
        close(found.history[i]?.trainLoss, record.trainLoss, 2e-5);
        close(found.history[i]?.validationLoss, record.validationLoss, 2e-5);
      }
      const plain = await trainHead({ ...inputs, train, training, engine });
      assert.notDeepEqual(plain.weights, found.weights);
    });
  }

  it("weigh one in the mean over an epoch's rows, however these are drawn", () => {
    const { train } = withFewer(toyProblem(headRecipe.parse({ type: "linear" })));
    const rows = new JoinedRows([train], 12);
    for (const sampling of ["natural", "balanced"] as const) {
      for (const classWeights of ["balanced", "sqrt"] as const) {
        const weights = batchClassWeights({ classWeights, sampling }, undefined, { rows, classCount: 3 });
        const order = epochOrder(sampling, seed, { rows, epoch: 1 });
        const sum = order.reduce((total, row) => total + (weights?.[train.labels[row] ?? 9] ?? 9), 0);
        // With balanced sampling the classes' rows differ by one.
        close(sum / order.length, 1, sampling === "natural" ? 1e-12 : 0.02);
      }
    }
    assert.equal(
      batchClassWeights({ classWeights: "none", sampling: "natural" }, undefined, { rows, classCount: 3 }),
      undefined,
    );
  });

  it("with mixup are those of the two rows' losses", () => {
    const { train } = withFewer(toyProblem(headRecipe.parse({ type: "linear" })));
    const rows = new JoinedRows([train], 12);
    const classWeights = Float64Array.of(2, 0.5, 1.25);
    const training = { batchSize: 8, labelSmoothing: 0.2, mixup: 0.7, sampling: "natural" } as const;
    const head = headRecipe.parse({ type: "linear" });
    const setting = { head, training, featureCount: 12, classCount: 3, seed, classWeights };
    const batch = {
      features: new Float32Array(8 * 12),
      labels: new Int32Array(8),
      targets: new Float32Array(8 * 3),
      rowWeights: new Float32Array(8),
    };
    new EpochBatches(setting, rows, 3).take(1, batch);
    const order = epochOrder("natural", seed, { rows, epoch: 3 });
    const { share, partners } = drawMixture(0.7, seed, { epoch: 3, step: 0, rows: 8 });
    const logarithms = [-0.2, -2.2, -3.1];
    const lossOf = (label: number) =>
      logarithms.reduce((sum, value, j) => sum - (0.2 / 3 + (j === label ? 0.8 : 0)) * value, 0);
    for (let i = 0; i < 8; i += 1) {
      const [own = 9, other = 9] = [order[i], order[partners[i] ?? 9]].map((row) => train.labels[row ?? 9]);
      const expected =
        share * (classWeights[own] ?? 9) * lossOf(own) +
        (1 - share) * (classWeights[other] ?? 9) * lossOf(other);
      const loss = logarithms.reduce((sum, value, j) => sum - (batch.targets[i * 3 + j] ?? 9) * value, 0);
      close((batch.rowWeights[i] ?? 9) * loss, expected, 1e-6);
    }
  });

  it("refuse a name that no class has", async () => {
    const inputs = toyProblem(headRecipe.parse({ type: "linear" }));
    const training = trainingRecipe.parse({ classWeights: { d: 2 } });
    await assert.rejects(
      trainHead({ ...inputs, training, classNames: ["a", "b", "c"] }),
      (thrown) => thrown instanceof TrommelError && thrown.code === "invalid-argument",
    );
  });
});

describe("balanced sampling", () => {
  const { train } = withFewer(toyProblem(headRecipe.parse({ type: "linear" })));
  const rows = new JoinedRows(
    [rowsOf(train, [0, 1, 2, 3, 4]), rowsOf(train, range(5, train.labels.length))],
    12,
  );

  it("draws every class as often as another, and each row of a class as often as another, up to one", () => {
    for (let epoch = 1; epoch <= 5; epoch += 1) {
      const order = epochOrder("balanced", seed, { rows, epoch });
      assert.equal(order.length, train.labels.length);
      const drawn = new Int32Array(order.length);
      for (const row of order) drawn[row] = (drawn[row] ?? 0) + 1;
      const perClass = [0, 1, 2].map((label) => drawn.filter((_, row) => train.labels[row] === label));
      const sums = perClass.map((own) => own.reduce((sum, count) => sum + count, 0));
      assert.ok(Math.max(...sums) - Math.min(...sums) <= 1, sums.join());
      for (const own of perClass) assert.ok(Math.max(...own) - Math.min(...own) <= 1);
    }
  });

  it("comes from seed and epoch, and leaves out classes without rows", () => {
    const one = epochOrder("balanced", seed, { rows, epoch: 2 });
    assert.deepEqual(epochOrder("balanced", seed, { rows, epoch: 2 }), one);
    assert.notDeepEqual(epochOrder("balanced", seed + 1, { rows, epoch: 2 }), one);
    assert.notDeepEqual(epochOrder("balanced", seed, { rows, epoch: 3 }), one);
    const labels = Int32Array.of(5, 0, 5, 5, 5, 5);
    const two = new JoinedRows([{ features: new Float32Array(6), labels }], 1);
    const order = epochOrder("balanced", seed, { rows: two, epoch: 1 });
    assert.deepEqual([...order].map((row) => labels[row]).toSorted(), [0, 0, 0, 5, 5, 5]);
  });

  it("trains to the same bytes with one thread and with two, and on the same rows in both engines", async () => {
    const head = headRecipe.parse({ type: "mlp", hidden: [6], inputDropout: 0.1 });
    const options = { sampling: "balanced", classWeights: "sqrt", mixup: 0.3, epochs: 3, batchSize: 32 };
    const inputs = { ...withFewer(toyProblem(head)), training: trainingRecipe.parse(options) };
    const alone = await trainHead(inputs);
    assert.deepEqual(await trainHead({ ...inputs, threads: 2 }), alone);
    const other = await trainHead({ ...inputs, engine: "tfjs" });
    for (const [i, record] of other.history.entries()) {
      close(alone.history[i]?.trainLoss, record.trainLoss, 1e-4);
      close(alone.history[i]?.trainAccuracy, record.trainAccuracy, 1e-6);
    }
  });
});

describe("the figures of an epoch that is kept by them", () => {
  for (const engine of engines) {
    it(`are those of its predictions: ${engine}`, async () => {
      for (const keep of ["balancedAccuracy", "macroF1"] as const) {
        const head = headRecipe.parse({ type: "linear" });
        const options = { keep, epochs: 6, batchSize: 64, optimizer: { learningRate: 0.02 } };
        const { validation, ...inputs } = withFewer(toyProblem(head));
        const few = rowsOf(
          validation,
          range(0, 40).filter((row) => row % 3 !== 1 || row < 9),
        );
        const training = trainingRecipe.parse(options);
        const { weights, bestEpoch, history } = await trainHead({
          ...inputs,
          validation: few,
          training,
          engine,
        });
        const logits = predictLogits(head, weights, few.features, few.labels.length);
        const pairs = [...few.labels].map((label, row) => {
          const values = logits.subarray(row * 3, row * 3 + 3);
          return [label, values.indexOf(Math.max(...values))] as const;
        });
        const perClass = [0, 1, 2].map((own) => {
          const count = (is: (pair: readonly [number, number]) => boolean) => pairs.filter(is).length;
          const hits = count(([label, predicted]) => label === own && predicted === own);
          const support = count(([label]) => label === own);
          const answers = count(([, predicted]) => predicted === own);
          return keep === "macroF1" ? (2 * hits) / (support + answers) : hits / support;
        });
        const figureOf = (record: EpochRecord | undefined) =>
          keep === "macroF1" ? record?.validationMacroF1 : record?.validationBalancedAccuracy;
        close(figureOf(history[bestEpoch - 1]), perClass.reduce((sum, value) => sum + value, 0) / 3, 1e-12);
        const best = Math.max(...history.map((record) => figureOf(record) ?? 0));
        assert.equal(bestEpoch, history.findLastIndex((record) => figureOf(record) === best) + 1);
      }
    });
  }
});

/** The problem with a third of class 1's training rows and a tenth of class 2's. */
function withFewer(inputs: TrainHeadInputs): TrainHeadInputs {
  const { labels } = inputs.train;
  const kept = range(0, labels.length).filter(
    (row) => Math.floor(row / 3) % ([1, 3, 10][labels[row] ?? 0] ?? 1) === 0,
  );
  return { ...inputs, train: rowsOf(inputs.train, kept) };
}

function rowsOf({ features, labels }: RowSet, rows: readonly number[]): RowSet {
  const width = features.length / labels.length;
  return {
    features: Float32Array.from(
      rows.flatMap((row) => [...features.subarray(row * width, (row + 1) * width)]),
    ),
    labels: Int32Array.from(rows, (row) => labels[row] ?? -1),
  };
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i);
}

function close(actual: number | undefined, expected: number, tolerance: number): void {
  assert.ok(Math.abs((actual ?? Number.NaN) - expected) <= tolerance, `${actual} is not ${expected}`);
}
