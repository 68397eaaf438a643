import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { readLayersModel } from "#gpu-worker/backbone/layers/layers-model";
import { readWeights, weightsManifest, weightValues } from "#gpu-worker/backbone/layers/layers-weights";
import { GraphBuilder } from "#gpu-worker/graph/graph-builder";
import { decodeModel, encodeModel } from "#gpu-worker/graph/onnx/onnx-model";
import fc from "fast-check";
import {
  fuzzSeed,
  hostileBytes,
  hostileJson,
  parsesOrRefuses,
  parsesOrRefusesLater,
} from "../../support/files/hostile-bytes.js";

function smallModel(): Uint8Array {
  const graph = new GraphBuilder();
  const x = graph.input("x", "float32", ["N", 2]);
  const weight = graph.constant("weight", "float32", [2, 1], Float32Array.of(1, 2));
  const y = graph.node("MatMul", [x, weight]);
  graph.output("y", "float32", ["N", 1], graph.node("Softmax", [y], { axis: -1 }));
  return graph.encode();
}

/** A node with an attribute that is a graph with such a node, and so on. */
function nestedModel(depth: number): Uint8Array {
  const field = (id: number, body: Uint8Array): Uint8Array => {
    const size: number[] = [];
    for (let rest = body.length; ; rest >>>= 7) {
      size.push(rest > 127 ? (rest & 127) | 128 : rest);
      if (rest <= 127) break;
    }
    return Buffer.concat([Uint8Array.of(id * 8 + 2, ...size), body]);
  };
  let graph: Uint8Array = field(2, Buffer.from("g"));
  for (let i = 0; i < depth; i += 1) {
    const node = Buffer.concat([field(4, Buffer.from("If")), field(5, field(6, graph))]);
    graph = field(1, node);
  }
  return Buffer.concat([Uint8Array.of(8, 8), field(7, graph), field(8, Uint8Array.of(16, 17))]);
}

describe("ONNX files under fuzz", () => {
  it("are decoded or refused, and what is decoded encodes to the same", () => {
    fc.assert(
      fc.property(hostileBytes(smallModel(), nestedModel(5)), (bytes) => {
        const model = parsesOrRefuses(() => decodeModel(bytes));
        if (model === undefined) return;
        const encoded = encodeModel(model);
        assert.ok(Buffer.from(encodeModel(decodeModel(encoded))).equals(encoded));
      }),
      { seed: fuzzSeed, numRuns: 2500 },
    );
  });

  it("are refused where their graphs are nested without end", () => {
    for (const depth of [10, 100, 1000, 5000]) parsesOrRefuses(() => decodeModel(nestedModel(depth)));
  });
});

const dense = (name: string) => ({ class_name: "Dense", config: { name, units: 2, use_bias: false } });
const model = {
  modelTopology: {
    class_name: "Model",
    config: {
      name: "model",
      layers: [
        {
          class_name: "InputLayer",
          name: "in",
          config: { name: "in", batch_input_shape: [null, 2] },
          inbound_nodes: [],
        },
        { ...dense("d"), name: "d", inbound_nodes: [[["in", 0, 0, {}]]] },
        {
          class_name: "Activation",
          name: "a",
          config: { name: "a", activation: "relu" },
          inbound_nodes: [[["d", 0, 0, {}]]],
        },
      ],
      input_layers: [["in", 0, 0]],
      output_layers: [["a", 0, 0]],
    },
  },
  weightsManifest: [{ paths: ["w.bin"], weights: [{ name: "d/kernel", shape: [2, 2], dtype: "float32" }] }],
};
const sequential = {
  modelTopology: { class_name: "Sequential", config: { name: "s", layers: [dense("d"), dense("e")] } },
  weightsManifest: [
    {
      paths: ["w.bin"],
      weights: [
        {
          name: "d/kernel",
          shape: [2],
          dtype: "float32",
          quantization: { dtype: "uint8", scale: 1, min: 0 },
        },
        { name: "e/kernel", shape: [2], dtype: "int32", quantization: { dtype: "uint16", scale: 1, min: 0 } },
        { name: "f", shape: [5], dtype: "float32", quantization: { dtype: "float16" } },
      ],
    },
  ],
};

/** A model that holds a model twice, which holds a model twice, and so on: a kilobyte for each doubling. */
function doublingModel(depth: number): object {
  const input = (name: string) => ({ class_name: "InputLayer", name, config: { name }, inbound_nodes: [] });
  let inner: object = { class_name: "Activation", name: "m", config: { name: "m", activation: "relu" } };
  for (let i = 0; i < depth; i += 1) {
    const twice = { ...inner, inbound_nodes: [[["in", 0, 0, {}]], [["m", 0, 0, {}]]] };
    const config = {
      name: "m",
      layers: [input("in"), twice],
      input_layers: [["in", 0, 0]],
      output_layers: [["m", 1, 0]],
    };
    inner = { class_name: "Model", name: "m", config };
  }
  return inner;
}

describe("layers models under fuzz", () => {
  const weights = new Uint8Array(16);
  const read = (json: Uint8Array) => readLayersModel(json, () => Promise.resolve(weights));

  it("are read or refused, whatever their bytes", async () => {
    await fc.assert(
      fc.asyncProperty(hostileBytes(JSON.stringify(model), JSON.stringify(sequential)), async (bytes) => {
        await parsesOrRefusesLater(() => read(bytes));
      }),
      { seed: fuzzSeed, numRuns: 1500 },
    );
  });

  it("are read or refused, whatever they say", async () => {
    await fc.assert(
      fc.asyncProperty(hostileJson(model, sequential), async (value) => {
        await parsesOrRefusesLater(() => read(Buffer.from(JSON.stringify(value) ?? "")));
      }),
      { seed: fuzzSeed, numRuns: 2500 },
    );
  });

  it("are refused where models in models double without end", async () => {
    const bomb = { modelTopology: doublingModel(40), weightsManifest: [] };
    assert.equal(await parsesOrRefusesLater(() => read(Buffer.from(JSON.stringify(bomb)))), undefined);
    const fine = { modelTopology: doublingModel(4), weightsManifest: [] };
    assert.equal((await read(Buffer.from(JSON.stringify(fine)))).layers.size, 17);
  });

  it("have as many weights as their file has bytes", async () => {
    await fc.assert(
      fc.asyncProperty(
        hostileJson(model.weightsManifest, sequential.weightsManifest),
        fc.nat(40),
        async (value, sizeBytes) => {
          const manifest = weightsManifest.safeParse(value);
          if (!manifest.success) return;
          const file = new Uint8Array(sizeBytes);
          const found = await parsesOrRefusesLater(() =>
            readWeights(manifest.data, () => Promise.resolve(file)),
          );
          for (const weight of found?.values() ?? []) parsesOrRefuses(() => weightValues(weight));
        },
      ),
      { seed: fuzzSeed, numRuns: 1500 },
    );
  });
});
