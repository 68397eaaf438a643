import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { featureFingerprint, namedNormalizations, recipe, type RecipeInput } from "@trommel/common";

const fingerprintOf = (normalization: RecipeInput["normalization"]): string =>
  featureFingerprint(recipe.parse({ backbones: ["any"], normalization }), ["0".repeat(64)], 224);

describe("the fingerprint of features", () => {
  it("takes a normalisation for its figures, however it is named", () => {
    const { torch } = namedNormalizations;
    assert.equal(
      fingerprintOf("torch"),
      fingerprintOf({ mean: [...torch.mean], deviation: [...torch.deviation] }),
    );
  });

  it("tells every two normalisations apart, and those of the backbones from given ones", () => {
    const asked: RecipeInput["normalization"][] = [
      ...(["backbone", "dataset", "tf", "torch", "unit", "none"] as const),
      { mean: [1, 2, 3], deviation: [4, 5, 6] },
      { mean: [1, 2, 3], deviation: [4, 5, 7] },
      { mean: [2, 1, 3], deviation: [4, 5, 6] },
    ];
    assert.equal(new Set(asked.map(fingerprintOf)).size, asked.length);
    assert.equal(fingerprintOf(undefined), fingerprintOf("backbone"));
  });

  it("tells precisions apart", () => {
    const of = (given: Partial<RecipeInput>): string =>
      featureFingerprint(recipe.parse({ backbones: ["any"], ...given }), ["0".repeat(64)], 224);
    assert.notEqual(of({ precision: "fp16" }), of({ precision: "fp32" }));
    assert.equal(of({ precision: "fp32" }), of({}));
  });
});
