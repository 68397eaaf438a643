import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { TrommelError } from "@trommel/common";
import { CheckedModel } from "#gpu-worker/backbone/import/checked-model";
import { GraphBuilder } from "#gpu-worker/graph/graph-builder";
import { toHalfPrecision } from "#gpu-worker/graph/half-precision";
import { decodeModel, encodeModel } from "#gpu-worker/graph/onnx/onnx-model";
import type { ModelProto } from "#gpu-worker/graph/onnx/onnx-proto";
import { convolutionBackbone, windowBackbone } from "../../../support/models/small-backbones.js";

const side = 16;

/** Values of a normalised picture. */
function picture(): Float32Array {
  return Float32Array.from({ length: 3 * side * side }, (_, i) => Math.sin(i * 1.7) + i / 1000);
}

/** As IEEE 754 says: 11 significant bits, ties to even, for normal numbers. */
function nearestHalf(value: number): number {
  const step = 2 ** (Math.floor(Math.log2(Math.abs(value))) - 10);
  const quotient = Math.floor(value / step);
  const rest = value / step - quotient;
  const up = rest > 0.5 || (rest === 0.5 && quotient % 2 !== 0);
  return (quotient + (up ? 1 : 0)) * step;
}

const half = (bytes: Uint8Array): Uint8Array =>
  encodeModel(toHalfPrecision(decodeModel(bytes), "the network"));

async function embed(bytes: Uint8Array, image = picture()): Promise<Float32Array> {
  const model = await CheckedModel.load(bytes);
  try {
    return (await model.embed(image, 1, side)).values.slice();
  } finally {
    await model.release();
  }
}

function withOperator(add: (builder: GraphBuilder, image: string) => string): Uint8Array {
  const builder = new GraphBuilder();
  const image = builder.input("image", "float32", ["n", 3, side, side]);
  builder.output("embedding", "float32", undefined, add(builder, image));
  return builder.encode();
}

function refusal(bytes: Uint8Array): TrommelError {
  try {
    half(bytes);
  } catch (thrown) {
    assert.ok(thrown instanceof TrommelError);
    return thrown;
  }
  assert.fail("it is not refused");
}

describe("a network in half precision", () => {
  it("rounds what it is fed to the nearest half", async () => {
    const image = picture().map((value) => (Math.abs(value) < 0.001 ? 0.5 : value));
    const { model } = windowBackbone(side);
    assert.deepEqual([...(await embed(half(model), image))], Array.from(image, nearestHalf));
  });

  it("computes what it computed, to half precision, with half the weights' bytes", async () => {
    const { model } = convolutionBackbone(side, 32);
    const full = await embed(model);
    const halved = await embed(half(model));
    const largest = full.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
    const difference = Math.max(...full.map((value, i) => Math.abs(value - (halved[i] ?? NaN))));
    assert.ok(difference > 0 && difference < 4e-3 * largest, `${difference} of ${largest}`);
    const weights = 4 * (16 * 27 + 16 * 9 + 32 * 16 * 9);
    const saved = model.byteLength - half(model).byteLength;
    assert.ok(saved > 0.4 * weights && saved < 0.5 * weights, `${saved} of ${weights}`);
  });

  it("leaves what surrounds it in float32, and gives the same bytes again", () => {
    const { model } = convolutionBackbone(side, 32);
    const { graph } = toHalfPrecision(decodeModel(model), "the network");
    const types = [...(graph?.input ?? []), ...(graph?.output ?? [])].map(
      ({ name, type }) => `${name} ${type?.tensorType?.elemType}`,
    );
    assert.deepEqual(types, ["image 1", "embedding 1"]);
    assert.deepEqual(half(model), half(model));
  });

  it("reads weights that an exporter wrote as a list of numbers", () => {
    const raw = decodeModel(convolutionBackbone(side, 32).model);
    const listed = decodeModel(convolutionBackbone(side, 32).model);
    for (const tensor of listed.graph?.initializer ?? []) {
      if (tensor.dataType !== 1 || tensor.rawData === undefined) continue;
      tensor.floatData = [tensor.rawData.subarray(0, 4), tensor.rawData.subarray(4)];
      delete tensor.rawData;
    }
    const weights = (model: ModelProto) =>
      (toHalfPrecision(model, "it").graph?.initializer ?? []).map(({ rawData }) => rawData);
    assert.deepEqual(weights(listed), weights(raw));
  });

  it("keeps constants, casts, shapes and a resize's scales what they are", async () => {
    const bytes = withOperator((builder, image) => {
      const scales = builder.constant("scales", "float32", [4], Float32Array.of(1, 1, 2, 2));
      const wide = builder.node("Resize", [image, "", scales], { mode: "nearest" });
      const shape = builder.node("Shape", [wide]);
      const count = builder.node("Cast", [builder.node("ReduceProd", [shape], { keepdims: 0 })], { to: 1 });
      const share = builder.node("Div", [
        count,
        builder.constant("many", "float32", [], Float32Array.of(1024)),
      ]);
      const ones = builder.node("ConstantOfShape", [shape]);
      const sum = builder.node("Add", [builder.node("Add", [wide, ones]), share]);
      return builder.node("Flatten", [sum], { axis: 1 });
    });
    const [full, halved] = [await embed(bytes), await embed(half(bytes))];
    assert.equal(full.length, 3 * 4 * side * side);
    full.forEach((value, i) => assert.ok(Math.abs(value - (halved[i] ?? NaN)) < 6e-3));
  });

  it("refuses an operator that has no half precision, and names it", () => {
    const bytes = withOperator((builder, image) => {
      const axis = builder.constant("axis", "int64", [], BigInt64Array.of(3n));
      return builder.node("Flatten", [builder.node("CumSum", [image, axis])], { axis: 1 });
    });
    const error = refusal(bytes);
    assert.equal(error.code, "unsupported");
    assert.match(
      error.message,
      /the network in half precision: not known to compute in float16: CumSum.*precision: fp32/,
    );
  });

  it("refuses a weight that would become infinite", () => {
    const bytes = withOperator((builder, image) => {
      const weight = builder.constant("weight", "float32", [], Float32Array.of(70_000));
      return builder.node("Flatten", [builder.node("Mul", [image, weight])], { axis: 1 });
    });
    assert.match(refusal(bytes).message, /weight contains 70000, and float16 ends at 65504/);
  });
});
