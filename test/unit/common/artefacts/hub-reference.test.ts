import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import { openStore, recipe, resolveBackbone } from "@trommel/common";
import { hubSpelling, nameInStore, parseHubReference } from "@trommel/common/artefacts";
import { resolveBackbones } from "#coordinator/resolve/resolve-backbones";
import { temporaryFolder } from "../../../support/files/temp-folder.js";

const spellings: readonly (readonly [given: string, right: string | undefined])[] = [
  ["hf:org/name", "hf:org/name"],
  ["hf:org/name@v1.0", "hf:org/name@v1.0"],
  ["HF:org/name", "hf:org/name"],
  ["hf://org/name@refs/pr/1", "hf:org/name@refs/pr/1"],
  ["org/Name.v2", "hf:org/Name.v2"],
  ["org/name@dev", "hf:org/name@dev"],
  ["https://huggingface.co/org/name", "hf:org/name"],
  ["https://huggingface.co/org/name/", "hf:org/name"],
  ["hf:https://huggingface.co/org/name", "hf:org/name"],
  ["huggingface.co/org/name/tree/main", "hf:org/name"],
  ["https://huggingface.co/org/name/tree/v2/onnx", "hf:org/name@v2"],
  ["https://huggingface.co/org/name/tree/refs%2Fpr%2F3", "hf:org/name@refs/pr/3"],
  ["https://hf.co/org/name?library=onnx#files", "hf:org/name"],
  [
    "https://huggingface.co/org/name/blob/main/onnx/model_fp16.onnx",
    "hf:org/name --file onnx/model_fp16.onnx",
  ],
  ["https://huggingface.co/org/name/resolve/v2/model.onnx?download=true", "hf:org/name@v2 --file model.onnx"],
  ["efficientnet-b2-autoaugment", undefined],
  ["models/encoder.onnx", undefined],
  ["./name", undefined],
  ["../../etc", undefined],
  ["/data/name", undefined],
  ["a/b/c", undefined],
  ["https://example.org/org/name", undefined],
  ["hf:only-a-name", undefined],
  ["", undefined],
];

describe("a repository of a hub", () => {
  it("is spelled as pull takes it, whatever a browser or another program calls it", () => {
    for (const [given, right] of spellings) assert.equal(hubSpelling(given), right, given);
  });

  it("is refused under another spelling with the right one", () => {
    assert.deepEqual(parseHubReference("hf:org/Name"), { id: "org/Name", revision: "main" });
    assert.throws(
      () => parseHubReference("hf://org/name"),
      /named hf:<organisation>.*\. Write hf:org\/name$/,
    );
    assert.throws(() => parseHubReference("hf:only-a-name"), /if it is not main$/);
    assert.equal(nameInStore({ id: "org/Small_ViT", revision: "main" }), "small_vit");
  });

  it("is no name of a backbone in a store or a recipe: the message says how to get it", async () => {
    const store = openStore(join(await temporaryFolder("hub-reference"), "store"));
    try {
      await assert.rejects(resolveBackbone(store, "hf:org/Small@v1"), {
        code: "not-found",
        message: /get it with 'trommel backbone pull hf:org\/Small@v1', which names it small$/,
      });
      const { backbones, normalization } = recipe.parse({
        backbones: ["org/Small", { name: "other", inputSize: 32 }, { name: "hf:org/big", inputSize: 64 }],
      });
      await assert.rejects(resolveBackbones(store, { backbones, normalization }), ({ message }: Error) => {
        assert.match(
          message,
          /'trommel backbone pull hf:org\/Small' and 'trommel backbone import <file> --name/,
        );
        assert.match(message, /--size 32' and 'trommel backbone pull hf:org\/big --size 64'/);
        assert.match(message, /as the store does: small instead of org\/Small, big instead of hf:org\/big$/);
        return true;
      });
    } finally {
      store.close();
    }
  });
});
