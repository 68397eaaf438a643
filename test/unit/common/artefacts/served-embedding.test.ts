import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { BundleManifest } from "@trommel/common";
import { servedEmbedding } from "@trommel/common/artefacts";

/** What {@link servedEmbedding} reads of a bundle of two backbones. */
const bundle = (of: Partial<BundleManifest>) =>
  ({
    run: "first",
    backbones: [{ dimension: 5 }, { dimension: 7 }],
    svd: null,
    ensemble: null,
    recipe: { serving: { views: "mirrored" } },
    ...of,
  }) as unknown as BundleManifest;

describe("the embedding that a model serves", () => {
  it("has the numbers of all backbones, or of what the heads take", () => {
    const sizes = (of: Partial<BundleManifest>) =>
      (["raw", "projected"] as const).map((vector) => servedEmbedding(bundle(of), { vector }).dimension);
    assert.deepEqual(sizes({ svd: { components: 3, energyKept: 1, scale: 1 } }), [12, 3]);
    assert.deepEqual(sizes({ ensemble: {} as BundleManifest["ensemble"] }), [12, 12]);
    assert.equal(servedEmbedding(bundle({}), { vector: "raw" }).views, 2);
  });

  it("is refused where the heads take the raw one", () => {
    assert.throws(() => servedEmbedding(bundle({}), { vector: "projected" }), {
      code: "unsupported",
      message: /the model of first projects none, and its heads take the raw ones. Use --embeddings raw/,
    });
  });
});
