import assert from "node:assert/strict";
import { it } from "node:test";
import { SeededRandom } from "@trommel/common";
import { onStandardized } from "#gpu-worker/stages/folding/tuned-head";

it("a tuned classifier gives the same logits on standardised embeddings, of a constant dimension too", () => {
  const [dimension, classes] = [6, 3];
  const random = new SeededRandom(3);
  const draw = (length: number): Float32Array => Float32Array.from({ length }, () => random.normal());
  const [kernel, bias, mean] = [draw(dimension * classes), draw(classes), draw(dimension)];
  const scale = Float32Array.from(draw(dimension), (value) => Math.abs(value) + 0.1);
  const constant = 4;
  scale[constant] = 0;
  const head = onStandardized({ kernel, bias }, { mean, scale });
  const logits = (x: Float32Array, slopes: Float32Array, offsets: Float32Array): number[] =>
    [...offsets].map((offset, of) =>
      x.reduce((sum, value, at) => sum + value * (slopes[at * classes + of] as number), offset),
    );
  for (let row = 0; row < 5; row += 1) {
    const x = draw(dimension);
    x[constant] = mean[constant] as number;
    const standardized = x.map((value, at) => (value - (mean[at] as number)) * (scale[at] as number));
    const [slopes, offsets] = [head["output.kernel"]?.data, head["output.bias"]?.data];
    assert.ok(slopes !== undefined && offsets !== undefined);
    const found = logits(standardized, slopes, offsets);
    for (const [of, wanted] of logits(x, kernel, bias).entries())
      assert.ok(Math.abs((found[of] as number) - wanted) < 1e-5, `${found[of]} is not ${wanted}`);
  }
});
