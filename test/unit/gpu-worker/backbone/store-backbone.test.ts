import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import {
  backboneId,
  backboneKeys,
  openStore,
  readBackboneModel,
  resolveBackbone,
  type Normalization,
} from "@trommel/common";
import { storeBackbone } from "#gpu-worker/backbone/import/store-backbone";
import { fileHashes } from "../../../support/files/file-hashes.js";
import { temporaryFolder } from "../../../support/files/temp-folder.js";

describe("a backbone that is stored again", async () => {
  const root = join(await temporaryFolder("store-backbone"), "store");
  const store = openStore(root);
  const prepared = {
    ...{ model: Buffer.from("a model"), dimension: 8, inputSize: 32, opset: 20, output: "out" },
    ...({ pooling: "average", parity: null, parameterCount: 3 } as const),
    layers: { modelJson: Buffer.from("{}"), weightsBin: Buffer.from("weights") },
  };
  const scale: Normalization = { mean: [0, 0, 0], deviation: [1, 1, 1] };
  const source = { kind: "layers", url: "file:///model.json", sha256: "0".repeat(64) } as const;
  const put = () =>
    storeBackbone(store, prepared, { name: "b", normalization: scale, channelOrder: "rgb", source });

  it("gets back what is damaged or gone, and nothing else is written", async () => {
    const keys = backboneKeys(backboneId(await put()));
    const whole = await fileHashes(root);
    await store.put(keys.model, Buffer.from("a m0del"));
    await assert.rejects(readBackboneModel(store, await resolveBackbone(store, "b")), {
      code: "corrupt",
      message: /Import it again/,
    });
    await put();
    assert.deepEqual(await fileHashes(root), whole);
    await store.delete([keys.layersWeights]);
    await put();
    assert.deepEqual(await fileHashes(root), whole);
    const before = await store.head(keys.model);
    await put();
    assert.deepEqual(await store.head(keys.model), before);
  });
});
