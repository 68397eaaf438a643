import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { roundedTo } from "#gpu-worker/tables/vector-type";

const remedy = "Export with --dtype f32";

describe("the numbers of a vector's type", () => {
  it("are refused where float16 cannot hold them, with the advice to take float32", () => {
    assert.deepEqual(roundedTo("f32", Float32Array.of(65520, -1e30), remedy), Float32Array.of(65520, -1e30));
    assert.deepEqual(roundedTo("f16", Float32Array.of(65519, 2049), remedy), Float32Array.of(65504, 2048));
    assert.throws(() => roundedTo("f16", Float32Array.of(1, 65520), remedy), {
      code: "unsupported",
      message:
        "cannot write embeddings as f16: one of their numbers is 65520, and float16 ends at 65504. Export with --dtype f32",
    });
  });

  it("are refused in either type if they are not finite: another type would not help", () => {
    for (const type of ["f16", "f32"] as const)
      for (const value of [NaN, Infinity, -Infinity])
        assert.throws(() => roundedTo(type, Float32Array.of(1, value), remedy), {
          code: "corrupt",
          message: `cannot write embeddings: one of their numbers is ${value}. Check the backbone's weights, and the featureType of the recipe: f16 ends at 65504`,
        });
  });
});
