import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  bundleFiles,
  openStore,
  recipe as recipeSchema,
  sha256Hex,
  type BundleManifest,
  type HeadWeights,
} from "@trommel/common";
import { encodeStandardization } from "@trommel/common/artefacts";
import { encodeEnsemble } from "#gpu-worker/head/model/ensemble";
import { readBundleHeads } from "#gpu-worker/stages/scoring/bundle-heads";
import { temporaryFolder } from "../../../../support/files/temp-folder.js";

const head = { type: "linear", dropout: 0, bias: true } as const;
const folder = await temporaryFolder("bundle-heads");

const weightsOf = (features: number): HeadWeights => ({
  "output.kernel": { shape: [features, 2], data: new Float32Array(features * 2).fill(features) },
  "output.bias": { shape: [2], data: new Float32Array(2) },
});

/** Reads the heads of a bundle whose heads take so many features each, of an embedding of so many numbers. */
async function read(name: string, features: readonly number[], dimension: number, ownNetworks: boolean) {
  const store = openStore(`${folder}/${name}`);
  const files = {
    [bundleFiles.head]: encodeEnsemble({ head, heads: features.map(weightsOf), temperature: 1, ownNetworks }),
    [bundleFiles.standardization]: encodeStandardization({
      mean: new Float32Array(dimension),
      scale: new Float32Array(dimension).fill(1),
    }),
  };
  for (const [file, bytes] of Object.entries(files)) await store.put(file, bytes);
  const hashes = Object.fromEntries(Object.entries(files).map(([file, bytes]) => [file, sha256Hex(bytes)]));
  const recipe = recipeSchema.parse({ backbones: ["net"] });
  const ensemble = { head, heads: features.length, temperature: 1, repeats: 1 };
  const manifest = { run: name, recipe, svd: null, novelty: null, ensemble, hashes };
  try {
    return (await readBundleHeads(store, manifest as unknown as BundleManifest)).ensemble;
  } finally {
    store.close();
  }
}

describe("the heads of a bundle", () => {
  it("are those of their own networks, or all of the whole embedding", async () => {
    const own = await read("own", [3, 3], 6, true);
    assert.deepEqual([own.ownNetworks, own.heads.map(Object.keys).length], [true, 2]);
    assert.equal((await read("whole", [6, 6], 6, false)).ownNetworks, false);
  });

  for (const [name, features, dimension, own, words] of [
    [
      "unequal",
      [3, 4],
      7,
      true,
      "one takes 3 numbers, and the embedding has 7, an equal part of it for each of 2",
    ],
    [
      "uneven",
      [3, 3],
      7,
      true,
      "one takes 3 numbers, and the embedding has 7, an equal part of it for each of 2",
    ],
    ["narrow", [3, 3], 6, false, "one takes 3 numbers, and the embedding has 6, all of it"],
  ] as const)
    it(`are refused where they do not fit the embedding: ${name}`, async () => {
      await assert.rejects(read(name, features, dimension, own), {
        code: "corrupt",
        message: `cannot read the heads head.safetensors: ${words}. Train again or put the bundle back from a copy`,
      });
    });
});
