import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { SeededRandom } from "@trommel/common";
import type { Engine, EngineBackbone } from "#gpu-worker/backbone/engines/engine";
import { createOnnxEngine } from "#gpu-worker/backbone/engines/onnx-engine";
import { buildExtractionGraph } from "#gpu-worker/graph/extraction-graph";
import { GraphBuilder } from "#gpu-worker/graph/graph-builder";
import { decodeModel } from "#gpu-worker/graph/onnx/onnx-model";
import type { GraphProto, NodeProto } from "#gpu-worker/graph/onnx/onnx-proto";
import { mergeEqual } from "#gpu-worker/graph/shared-trunks";
import { convolutionBackbone, testPictures } from "../../../support/models/small-backbones.js";

const size = 24;
const images = 2;
const viewCount = 2;

interface Cut {
  readonly layers: number;
  readonly pool: "GlobalAveragePool" | "GlobalMaxPool";
  readonly seed: number;
}

/** The same network for the same seed, cut after so many of its convolutions. */
function cutAfter({ layers, pool, seed }: Cut): EngineBackbone {
  const { spec } = convolutionBackbone(size, 16);
  const random = new SeededRandom(seed);
  const builder = new GraphBuilder();
  let value = builder.input("image", "float32", ["n", 3, size, size]);
  for (let layer = 0; layer < layers; layer += 1) {
    const from = layer === 0 ? 3 : 16;
    const weights = Float32Array.from({ length: 16 * from * 9 }, () => random.normal() / Math.sqrt(from * 9));
    const kernel = builder.constant("kernel", "float32", [16, from, 3, 3], weights);
    value = builder.node("Relu", [
      builder.node("Conv", [value, kernel], { pads: [1, 1, 1, 1], strides: [2, 2] }),
    ]);
  }
  builder.output(
    "embedding",
    "float32",
    ["n", 16],
    builder.node("Flatten", [builder.node(pool, [value])], { axis: 1 }),
  );
  return { spec: { ...spec, name: `cut-${layers}` }, model: builder.encode(), layers: null };
}

const last: Cut = { layers: 3, pool: "GlobalAveragePool", seed: 1 };
const early = cutAfter({ ...last, layers: 2 });
const largest = cutAfter({ ...last, pool: "GlobalMaxPool" });
const other = cutAfter({ ...last, seed: 2 });

/** Nodes of an operator, those inside other nodes included. */
function count(graph: GraphProto, opType: string): number {
  const inside = ({ attribute }: NodeProto): number =>
    (attribute ?? []).reduce((sum, { g }) => sum + (g === undefined ? 0 : count(g, opType)), 0);
  return (graph.node ?? []).reduce((sum, node) => sum + Number(node.opType === opType) + inside(node), 0);
}

function convolutionsOf(backbones: readonly EngineBackbone[], wholeBatch: boolean): number {
  const bytes = buildExtractionGraph({ backbones, side: size, viewCount, colour: false, wholeBatch });
  return count(decodeModel(bytes).graph ?? {}, "Conv");
}

let engine: Engine;
before(async () => {
  engine = await createOnnxEngine({ device: "cpu", threads: 1 });
});

/** [images · viewCount][dimension], the second view mirrored. */
async function embed(backbones: readonly EngineBackbone[]): Promise<number[][]> {
  const extractor = await engine.createExtractor({ backbones, side: size, viewCount, colour: false });
  const identity = [1, 0, 0, 0, 1, 0];
  const mirrored = [-1, 0, 0, 0, 1, 0];
  const affine = Float32Array.from([identity, mirrored, identity, mirrored].flat());
  const colour = new Float32Array(images * viewCount * 12);
  const pixels = testPictures(images, size);
  const features = await extractor.extract({ pixels, imageCount: images, affine, colour });
  await extractor.release();
  const dimension = 16 * backbones.length;
  return Array.from({ length: images * viewCount }, (_, row) => [
    ...features.subarray(row * dimension, (row + 1) * dimension),
  ]);
}

describe("backbones that are cuts of one network", () => {
  for (const wholeBatch of [false, true]) {
    it(`compute what they share once, ${wholeBatch ? "on whole batches" : "in slices"}`, () => {
      const cuts = [cutAfter(last), early, largest];
      assert.equal(convolutionsOf(cuts, wholeBatch), 3);
      assert.equal(convolutionsOf([...cuts, other], wholeBatch), 6);
      assert.equal(convolutionsOf([cutAfter(last), other, early], wholeBatch), 8);
    });
  }

  it("give the embeddings that each of them gives alone, in their order", async () => {
    const cuts = [early, cutAfter(last), largest, other];
    const together = await embed(cuts);
    const alone = await Promise.all(cuts.map((one) => embed([one])));
    const expected = together.map((_, row) => alone.flatMap((of) => of[row] ?? []));
    assert.deepEqual(together, expected);
    assert.notDeepEqual(alone[1], alone[2]);
  });
});

describe("a graph in which equal things are computed once", () => {
  const tensor = (name: string, values: readonly number[]) => ({
    ...{ name, dataType: 1, dims: [values.length] },
    rawData: new Uint8Array(Float32Array.from(values).buffer),
  });
  const node = (opType: string, input: string[], output: string): NodeProto => ({
    opType,
    input,
    output: [output],
  });

  it("keeps what differs, what is random and what it returns", () => {
    const merged = mergeEqual({
      initializer: [tensor("a", [1, 2]), tensor("b", [1, 2]), tensor("c", [1, 3])],
      node: [
        node("Add", ["x", "a"], "p"),
        node("Add", ["x", "b"], "q"),
        node("Add", ["x", "c"], "r"),
        node("RandomNormalLike", ["p"], "s"),
        node("RandomNormalLike", ["q"], "t"),
        node("Sub", ["s", "t"], "u"),
        node("Add", ["x", "a"], "y"),
      ],
      output: [{ name: "y" }, { name: "u" }],
    });
    assert.deepEqual(
      merged.initializer?.map(({ name }) => name),
      ["a", "c"],
    );
    assert.deepEqual(
      merged.node?.map(({ input, output }) => [...(input ?? []), ...(output ?? [])].join(" ")),
      ["x a p", "x c r", "p s", "p t", "s t u", "x a y"],
    );
  });
});
