import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { headRecipe, resolveClassWeights, SeededRandom, TrommelError } from "@trommel/common";
import { meanOneWeights } from "#gpu-worker/head/batches/class-weights";
import { predictProbabilities } from "#gpu-worker/head/model/predict-head";
import { JoinedRows, type RowSet } from "#gpu-worker/head/model/row-set";
import { openCompiledNetwork } from "#gpu-worker/head/solver/compiled-network";
import { LinearObjective } from "#gpu-worker/head/solver/linear-objective";
import { solveLinear } from "#gpu-worker/head/solver/solve-linear";
import { openTfjsNetwork } from "#gpu-worker/head/tfjs/tfjs-network";

interface LogisticGolden {
  readonly classes: number;
  readonly given: number[];
  readonly features: number[];
  readonly labels: number[];
  readonly cases: readonly {
    readonly l2: number;
    readonly classWeights: "none" | "balanced" | "given";
    readonly bias: boolean;
    readonly probabilities: number[];
  }[];
}

const golden = JSON.parse(
  readFileSync(new URL("../../../../../golden/logistic.json", import.meta.url), "utf8"),
) as LogisticGolden;
const { classes } = golden;
const train: RowSet = {
  features: Float32Array.from(golden.features),
  labels: Int32Array.from(golden.labels),
};
const rows = new JoinedRows([train], train.features.length / train.labels.length);

describe("a solved linear head", () => {
  for (const { l2, classWeights: rule, bias, probabilities } of golden.cases) {
    for (const engine of ["onnx", "tfjs"] as const) {
      it(`has scikit-learn's probabilities: l2 ${l2}, weights ${rule}, ${bias ? "bias" : "no bias"}, ${engine}`, async () => {
        const classWeights = weightsOf(rule);
        const [head] = await solveLinear({
          train,
          classCount: classes,
          penalties: [l2],
          bias,
          classWeights,
          engine,
        });
        assert.ok(head !== undefined);
        assert.equal("output.bias" in head, bias);
        const recipe = headRecipe.parse({ type: "linear", bias });
        const found = predictProbabilities(recipe, head, train.features, train.labels.length);
        assert.equal(found.length, probabilities.length);
        for (const [i, value] of probabilities.entries()) close(found[i], value, 1e-4);
      });
    }
  }

  it("is the same on a path of penalties as alone, and the same bytes again", async () => {
    const penalties = [1, 0.1, 0.01, 0.001];
    const path = await solveLinear({ train, classCount: classes, penalties });
    assert.deepEqual(await solveLinear({ train, classCount: classes, penalties }), path);
    const sizes: number[] = [];
    for (const [index, penalty] of penalties.entries()) {
      const [alone] = await solveLinear({ train, classCount: classes, penalties: [penalty] });
      const [own, other] = [path[index], alone].map((head) => head?.["output.kernel"]?.data);
      assert.ok(own !== undefined && other !== undefined);
      for (const [i, value] of other.entries()) close(own[i], value, 2e-3);
      sizes.push(own.reduce((sum, value) => sum + value * value, 0));
    }
    assert.deepEqual(
      sizes.toSorted((a, b) => a - b),
      sizes,
    );
  });

  it("with smoothed labels is that of rows which share their label", async () => {
    // Smoothing by 0.3 over four classes: of 40 copies 31 keep the label, and each other class gets 3.
    const few = { features: train.features.slice(0, 12 * rows.width), labels: train.labels.slice(0, 12) };
    const copies = few.labels.length * 40;
    const spread: RowSet = {
      features: Float32Array.from({ length: copies * rows.width }, (_, i) => {
        return few.features[Math.floor(i / (40 * rows.width)) * rows.width + (i % rows.width)] ?? 9;
      }),
      labels: Int32Array.from({ length: copies }, (_, i) => {
        const shift = i % 40 < 31 ? 0 : 1 + Math.floor(((i % 40) - 31) / 3);
        return ((few.labels[Math.floor(i / 40)] ?? 9) + shift) % 4;
      }),
    };
    const counts = [0, 1, 2, 3].map((shift) => {
      return [...spread.labels.subarray(0, 40)].filter(
        (label) => label === ((few.labels[0] ?? 0) + shift) % 4,
      ).length;
    });
    assert.deepEqual(counts, [31, 3, 3, 3]);
    const penalties = [0.05];
    const [smoothed] = await solveLinear({ train: few, classCount: 4, penalties, labelSmoothing: 0.3 });
    const [expected] = await solveLinear({ train: spread, classCount: 4, penalties });
    for (const name of ["output.kernel", "output.bias"]) {
      for (const [i, value] of (expected?.[name]?.data ?? []).entries())
        close(smoothed?.[name]?.data[i], value, 1e-4);
    }
  });

  it("is refused without an optimum, with a reason", async () => {
    const inputs = { train, classCount: classes, penalties: [0.01] };
    await assert.rejects(
      solveLinear({ ...inputs, maxIterations: 2 }),
      isError("bad-dataset", /after 2 iterations .* maxIterations \(2\)/u),
    );
    const broken = { ...train, features: train.features.slice().fill(Number.NaN, 3, 4) };
    await assert.rejects(solveLinear({ ...inputs, train: broken }), isError("bad-dataset", /not finite/u));
    await assert.rejects(
      solveLinear({ ...inputs, penalties: [0.01, 0.1] }),
      isError("internal", /do not descend/u),
    );
    const none = { features: new Float32Array(), labels: new Int32Array() };
    await assert.rejects(
      solveLinear({ ...inputs, train: none }),
      isError("bad-dataset", /no training rows/u),
    );
    const abort = new AbortController();
    abort.abort();
    await assert.rejects(solveLinear({ ...inputs, signal: abort.signal }), isError("cancelled", /solved/u));
  });
});

describe("the objective of a linear head", () => {
  for (const [engine, open] of [
    ["onnx", openCompiledNetwork],
    ["tfjs", openTfjsNetwork],
  ] as const) {
    for (const hasBias of [true, false]) {
      it(`has the gradient that finite differences give: ${engine}, ${hasBias ? "bias" : "no bias"}`, async () => {
        const network = await open(rows.width, classes);
        const classWeights = meanOneWeights(Float64Array.of(0.5, 1, 3, 2), rows.classCounts(classes));
        const problem = { rows, classCount: classes, hasBias, labelSmoothing: 0.1, classWeights };
        const objective = new LinearObjective(problem, network);
        const random = new SeededRandom(2);
        const point = objective.start.map(() => 0.3 * random.normal());
        const { gradient } = await objective.evaluate(point, 0.05);
        assert.equal(gradient.length, classes * (rows.width + (hasBias ? 1 : 0)));
        const step = 5e-3;
        for (let i = 0; i < point.length; i += 1) {
          const valueAt = async (shift: number) =>
            (
              await objective.evaluate(
                point.map((value, j) => (i === j ? value + shift : value)),
                0.05,
              )
            ).value;
          close(gradient[i], ((await valueAt(step)) - (await valueAt(-step))) / (2 * step), 2e-4);
        }
        await network.release();
      });
    }
  }

  it("is the weighted mean of the rows' losses and half the penalty times the kernel's squares", async () => {
    const network = await openCompiledNetwork(rows.width, classes);
    const classWeights = meanOneWeights(Float64Array.of(0.5, 1, 3, 2), rows.classCounts(classes));
    const problem = { rows, classCount: classes, hasBias: true, labelSmoothing: 0.1, classWeights };
    const objective = new LinearObjective(problem, network);
    const random = new SeededRandom(7);
    const point = objective.start.map(() => 0.2 * random.normal());
    const { value, loss, correct } = await objective.evaluate(point, 0.3);
    const recipe = headRecipe.parse({ type: "linear" });
    const found = predictProbabilities(recipe, objective.head(point), train.features, train.labels.length);
    let [sum, weights, right] = [0, 0, 0];
    for (const [row, label] of train.labels.entries()) {
      const own = [...found.subarray(row * classes, (row + 1) * classes)];
      const weight = classWeights[label] ?? 9;
      sum -= own.reduce((total, p, j) => total + (0.025 + (j === label ? 0.9 : 0)) * Math.log(p), 0) * weight;
      weights += weight;
      if (own.indexOf(Math.max(...own)) === label) right += 1;
    }
    close(weights / train.labels.length, 1, 1e-12);
    close(loss, sum / weights, 1e-6);
    const squares = point
      .subarray(0, classes * rows.width)
      .reduce((total, weight) => total + weight * weight, 0);
    close(value, loss + 0.15 * squares, 1e-9);
    assert.equal(correct, right);
    await network.release();
  });
});

function weightsOf(rule: "none" | "balanced" | "given"): Float64Array | undefined {
  if (rule === "none") return undefined;
  if (rule === "given") return Float64Array.from(golden.given);
  return resolveClassWeights("balanced", undefined, rows.classCounts(classes));
}

function close(actual: number | undefined, expected: number, tolerance: number): void {
  assert.ok(Math.abs((actual ?? Number.NaN) - expected) <= tolerance, `${actual} is not ${expected}`);
}

function isError(code: string, message: RegExp) {
  return (thrown: unknown) =>
    thrown instanceof TrommelError && thrown.code === code && message.test(thrown.message);
}
