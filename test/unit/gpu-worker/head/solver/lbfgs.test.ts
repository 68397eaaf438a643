import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { minimize, type MinimizeOptions } from "#gpu-worker/head/solver/lbfgs";
import { searchLine, type LinePoint } from "#gpu-worker/head/solver/line-search";

type Smooth = (x: Float64Array) => { value: number; gradient: Float64Array };

describe("L-BFGS", () => {
  it("finds the minimum of Rosenbrock's function in ten dimensions", async () => {
    const found = await minimize(options(rosenbrock, new Float64Array(10).fill(-1.2)));
    assert.equal(found.ended, "tolerance");
    for (const value of found.point) assert.ok(Math.abs(value - 1) < 1e-6, `${value}`);
    assert.ok(found.value < 1e-12 && found.slope <= 1e-8);
    assert.ok(found.iterations < 200, `${found.iterations}`);
  });

  it("finds the minimum of an ill-conditioned quadratic, and counts what it evaluated", async () => {
    const wanted = Float64Array.from({ length: 60 }, (_, i) => Math.sin(i));
    const curvatures = wanted.map((_, i) => 10 ** (-2 + i / 20));
    let evaluations = 0;
    const quadratic: Smooth = (x) => {
      evaluations += 1;
      const off = x.map((value, i) => value - (wanted[i] ?? 0));
      const gradient = off.map((value, i) => value * (curvatures[i] ?? 0));
      return { value: 0.5 * off.reduce((sum, value, i) => sum + value * (gradient[i] ?? 0), 0), gradient };
    };
    const found = await minimize(options(quadratic, new Float64Array(60)));
    assert.equal(found.ended, "tolerance");
    assert.equal(found.evaluations, evaluations);
    for (const [i, value] of found.point.entries())
      assert.ok(Math.abs(value - (wanted[i] ?? 9)) <= 1.1e-8 / (curvatures[i] ?? 0));
  });

  it("says when it ran out of iterations, and when no step is lower", async () => {
    const start = new Float64Array(10).fill(-1.2);
    const short = await minimize({ ...options(rosenbrock, start), maxIterations: 3 });
    assert.deepEqual([short.ended, short.iterations], ["iterations", 3]);
    // The gradient points the wrong way, as one that is all rounding may.
    const uphill: Smooth = (x) => ({ value: x[0] ?? 0, gradient: Float64Array.of(-1) });
    assert.equal((await minimize(options(uphill, Float64Array.of(0)))).ended, "stalled");
    const broken: Smooth = () => ({ value: Number.NaN, gradient: Float64Array.of(Number.NaN) });
    assert.equal((await minimize(options(broken, Float64Array.of(0)))).ended, "stalled");
  });

  it("ends with what is thrown before an iteration", async () => {
    const beforeIteration = () => Promise.reject(new Error("enough"));
    await assert.rejects(
      minimize({ ...options(rosenbrock, new Float64Array(2)), beforeIteration }),
      /enough/u,
    );
  });
});

describe("line search", () => {
  // The first three of Moré & Thuente (1994), whose constants make a search by halving alone take long.
  const functions: Readonly<Record<string, (a: number) => number>> = {
    rational: (a) => -a / (a * a + 2),
    power: (a) => (a + 0.004) ** 5 - 2 * (a + 0.004) ** 4,
    quartic: (a) => (a - 3) ** 4 - 10 * a,
  };
  for (const [name, value] of Object.entries(functions)) {
    for (const first of [1e-3, 0.1, 1, 10, 1e3]) {
      it(`satisfies the strong Wolfe conditions: ${name}, from ${first}`, async () => {
        const at = (step: number): Promise<LinePoint> => {
          const h = 1e-6 * Math.max(1, step);
          return Promise.resolve({
            step,
            value: value(step),
            slope: (value(step + h) - value(step - h)) / (2 * h),
          });
        };
        const start = await at(0);
        const found = await searchLine(at, start, first, 0);
        assert.ok(found !== undefined);
        assert.ok(found.value <= start.value + 1e-4 * found.step * start.slope);
        assert.ok(Math.abs(found.slope) <= 0.9 * Math.abs(start.slope));
      });
    }
  }
});

function options(smooth: Smooth, start: Float64Array): MinimizeOptions<ReturnType<Smooth>> {
  return {
    evaluate: (point) => Promise.resolve(smooth(point)),
    start,
    tolerance: 1e-8,
    maxIterations: 1000,
    valueNoise: 0,
    beforeIteration: () => Promise.resolve(),
  };
}

function rosenbrock(x: Float64Array): { value: number; gradient: Float64Array } {
  const gradient = new Float64Array(x.length);
  let value = 0;
  for (let i = 0; i + 1 < x.length; i += 1) {
    const [a, b] = [x[i] as number, x[i + 1] as number];
    value += 100 * (b - a * a) ** 2 + (1 - a) ** 2;
    gradient[i] = (gradient[i] as number) - 400 * a * (b - a * a) - 2 * (1 - a);
    gradient[i + 1] = (gradient[i + 1] as number) + 200 * (b - a * a);
  }
  return { value, gradient };
}
