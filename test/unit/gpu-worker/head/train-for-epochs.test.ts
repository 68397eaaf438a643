import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  headRecipe,
  recipe as recipeSchema,
  SeededRandom,
  trainingRecipe,
  TrommelError,
  type HeadRecipe,
} from "@trommel/common";
import { headLogits } from "#gpu-worker/head/compiled/head-logits";
import { lossFigures } from "#gpu-worker/head/model/cross-entropy";
import { initialWeights } from "#gpu-worker/head/model/head-model";
import { predictLogits } from "#gpu-worker/head/model/predict-head";
import type { RowSet } from "#gpu-worker/head/model/row-set";
import { solveLinear } from "#gpu-worker/head/solver/solve-linear";
import { trainForEpochs } from "#gpu-worker/head/train-for-epochs";
import { trainHead } from "#gpu-worker/head/train-head";
import { toyProblem } from "../../../support/runs/toy-problem.js";

const engines = ["onnx", "tfjs"] as const;
const linear = headRecipe.parse({ type: "linear" });
const lbfgs = trainingRecipe.parse({ optimizer: { type: "lbfgs", l2: 0.01 }, labelSmoothing: 0.1 });

describe("training for a number of epochs", () => {
  for (const engine of engines) {
    it(`gives the bytes of a training that keeps its last epoch: ${engine}`, async () => {
      for (const options of [
        { type: "mlp", hidden: [7], inputDropout: 0.2 },
        { type: "linear", dropout: 0.1 },
      ]) {
        const { validation, ...inputs } = { ...problemOf(headRecipe.parse(options)), engine };
        const training = trainingRecipe.parse({
          ...{ epochs: 4, batchSize: 32, keep: "last", mixup: 0.2, classWeights: "balanced" },
          optimizer: { type: "adamw" },
          schedule: { type: "cosine" },
        });
        const seen: unknown[] = [];
        const weights = await trainForEpochs({
          ...inputs,
          training,
          onEpoch: (record) => seen.push(record),
        });
        const expected = await trainHead({ ...inputs, training, validation });
        assert.deepEqual(weights, expected.weights);
        assert.deepEqual(
          seen,
          expected.history.map(({ epoch, learningRate, trainLoss, trainAccuracy }) => {
            return { epoch, learningRate, trainLoss, trainAccuracy };
          }),
        );
        assert.deepEqual(await trainForEpochs({ ...inputs, training, threads: 2 }), weights);
      }
    });
  }

  it("refuses a plateau schedule, no rows and labels that do not fit, and stops when it is cancelled", async () => {
    const inputs = problemOf(linear);
    await assert.rejects(trainForEpochs(inputs), isError("invalid-argument", /plateau/u));
    const training = trainingRecipe.parse({ epochs: 3, schedule: { type: "constant" } });
    const none = { features: new Float32Array(), labels: new Int32Array() };
    await assert.rejects(
      trainForEpochs({ ...inputs, training, train: none }),
      isError("bad-dataset", /rows/u),
    );
    await assert.rejects(trainForEpochs({ ...inputs, training, classCount: 2 }), isError("internal", /fit/u));
    const abort = new AbortController();
    const seen: number[] = [];
    const onEpoch = ({ epoch }: { epoch: number }) => {
      seen.push(epoch);
      abort.abort();
    };
    await assert.rejects(
      trainForEpochs({ ...inputs, training, signal: abort.signal, onEpoch }),
      isError("cancelled", /epoch 2/u),
    );
    assert.deepEqual(seen, [1]);
  });
});

describe("a training that solves", () => {
  for (const engine of engines) {
    it(`has one epoch, measured as any other, and a refit on all rows: ${engine}`, async () => {
      const inputs = { ...problemOf(linear), engine };
      const training = { ...lbfgs, refit: true, keep: "macroF1" as const };
      const { validation, train } = inputs;
      const trained = await trainHead({ ...inputs, training, heldBack: validation });
      const solve = async (rows: RowSet) =>
        (
          await solveLinear({ train: rows, classCount: 3, penalties: [0.01], labelSmoothing: 0.1, engine })
        )[0];
      assert.deepEqual(trained.measuredWeights, await solve(train));
      assert.deepEqual(await trainForEpochs({ ...inputs, training }), trained.measuredWeights);
      closeWeights(
        trained.weights["output.kernel"]?.data,
        (await solve(joined(train, validation)))?.["output.kernel"]?.data,
      );
      assert.deepEqual([trained.bestEpoch, trained.history.length, trained.refit?.length], [1, 1, 1]);
      const [record] = trained.history;
      assert.ok(record?.validationMacroF1 !== undefined && record.validationMacroF1 > 0.95);
      assert.deepEqual([record.epoch, record.learningRate], [1, 0]);
      const { loss, correct } = lossOf(trained.measuredWeights, validation);
      assert.ok(Math.abs(record.validationLoss - loss) < 1e-6 && record.validationAccuracy === correct);
      const own = lossOf(trained.measuredWeights, train);
      assert.ok(Math.abs(record.trainLoss - own.loss) < 1e-6 && record.trainAccuracy === own.correct);
    });
  }

  it("weights the classes of its own rows, by name too", async () => {
    const inputs = problemOf(linear);
    const kept = [...inputs.train.labels.keys()].filter((row) => row % 3 !== 2 || row < 30);
    const train = rowsOf(inputs.train, kept);
    const names = ["a", "b", "c"];
    const weighted = async (classWeights: unknown) => {
      const training = trainingRecipe.parse({ optimizer: { type: "lbfgs" }, classWeights });
      return await trainForEpochs({ ...inputs, train, training, classNames: names });
    };
    const counts = [0, 1, 2].map((label) => train.labels.filter((own) => own === label).length);
    const balanced = counts.map((count) => train.labels.length / (3 * count));
    const named = Object.fromEntries(names.map((name, index) => [name, 5 * (balanced[index] ?? 0)]));
    closeWeights(
      (await weighted(named))["output.kernel"]?.data,
      (await weighted("balanced"))["output.kernel"]?.data,
    );
    assert.notDeepEqual(await weighted("balanced"), await weighted("none"));
    await assert.rejects(weighted({ d: 1 }), isError("invalid-argument", /the classes are a, b, c/u));
  });

  it("is refused in a recipe whose head or training it cannot solve", () => {
    const faults = (options: { head?: unknown; training?: object }) => {
      const training = { optimizer: { type: "lbfgs" }, ...options.training };
      const { error } = recipeSchema.safeParse({
        backbones: ["b"],
        head: { type: "linear" },
        ...options,
        training,
      });
      return error?.issues.map(({ path }) => path.join(".")) ?? [];
    };
    assert.deepEqual(faults({}), []);
    assert.deepEqual(faults({ head: { type: "linear", bias: false } }), []);
    assert.deepEqual(faults({ head: { type: "mlp" } }), ["training.optimizer.type"]);
    assert.deepEqual(faults({ head: {} }), ["training.optimizer.type"]);
    assert.deepEqual(faults({ head: { type: "linear", dropout: 0.2 } }), ["head.dropout"]);
    assert.deepEqual(faults({ training: { mixup: 0.2, sampling: "balanced", checkpoints: true } }), [
      "training.mixup",
      "training.sampling",
      "training.checkpoints",
    ]);
    assert.deepEqual(
      faults({ head: { type: "mlp" }, training: { optimizer: { type: "adamw" }, mixup: 0.2 } }),
      [],
    );
  });
});

describe("logits of many rows", () => {
  for (const options of [
    { type: "se", reduction: 4 },
    { type: "linear", bias: false },
    { type: "mlp", hidden: [9, 5], activation: "swish" },
  ]) {
    it(`are those of plain TypeScript: ${options.type}`, async () => {
      const head = headRecipe.parse(options);
      const random = new SeededRandom(3);
      const weights = initialWeights(head, 12, 4, 1);
      for (const { data } of Object.values(weights)) for (const i of data.keys()) data[i] = random.normal();
      for (const rows of [0, 1, 1024, 2500]) {
        const features = new Float32Array(new SharedArrayBuffer(4 * rows * 12));
        for (const i of features.keys()) features[i] = random.normal();
        const expected = predictLogits(head, weights, features, rows);
        const found = await headLogits(head, weights, features, rows);
        assert.equal(found.length, expected.length);
        for (const [i, value] of expected.entries())
          assert.ok(Math.abs((found[i] ?? Number.NaN) - value) < 1e-4, `${found[i]} is not ${value}`);
      }
      await assert.rejects(
        headLogits(head, weights, new Float32Array(5), 1),
        isError("internal", /5 values/u),
      );
    });
  }
});

/** The toy problem without callbacks, which differ between the two trainings. */
function problemOf(ofHead: HeadRecipe) {
  const { train, validation, classCount, head, training, seed } = toyProblem(ofHead);
  return { train, validation, classCount, head, training, seed };
}

function lossOf(weights: ReturnType<typeof initialWeights>, { features, labels }: RowSet) {
  const logits = predictLogits(linear, weights, features, labels.length);
  const { loss, correct } = lossFigures(logits, labels, 3, 0.1);
  return { loss: loss / labels.length, correct: correct / labels.length };
}

function joined(first: RowSet, second: RowSet): RowSet {
  return {
    features: Float32Array.from([...first.features, ...second.features]),
    labels: Int32Array.from([...first.labels, ...second.labels]),
  };
}

function rowsOf({ features, labels }: RowSet, rows: readonly number[]): RowSet {
  return {
    features: Float32Array.from(rows.flatMap((row) => [...features.subarray(row * 12, (row + 1) * 12)])),
    labels: Int32Array.from(rows, (row) => labels[row] ?? -1),
  };
}

function closeWeights(found: Float32Array | undefined, expected: Float32Array | undefined): void {
  assert.ok(expected !== undefined);
  for (const [i, value] of expected.entries())
    assert.ok(Math.abs((found?.[i] ?? Number.NaN) - value) < 1e-3, `${found?.[i]} is not ${value}`);
}

function isError(code: string, message: RegExp) {
  return (thrown: unknown) =>
    thrown instanceof TrommelError && thrown.code === code && message.test(thrown.message);
}
