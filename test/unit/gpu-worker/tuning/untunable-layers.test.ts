import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { untunableActivations, untunableClasses } from "@trommel/common/artefacts";
import { servedClasses } from "#gpu-worker/backbone/compile/layers-to-onnx";
import { servedActivations } from "#gpu-worker/backbone/layers/activation-names";
import { layerOperations } from "#gpu-worker/tuning/layers/layer-operations";
import { tunedActivations } from "#gpu-worker/tuning/tape/activation";

describe("what is refused before a tuning is queued", () => {
  it("is every layer type that serving knows and tuning has no gradient of, and no other", () => {
    const without = servedClasses.filter((name) => !(name in layerOperations));
    assert.deepEqual([...untunableClasses].sort(), without.sort());
  });

  it("is every such activation, and no other", () => {
    const without = servedActivations.filter((name) => !tunedActivations.includes(name));
    assert.deepEqual([...untunableActivations].sort(), without.sort());
  });
});
