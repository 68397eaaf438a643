import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { floatValues } from "#gpu-worker/graph/onnx/onnx-values";
import { GraphBuilder } from "#gpu-worker/graph/graph-builder";
import { decodeModel, encodeModel } from "#gpu-worker/graph/onnx/onnx-model";
import type { ModelProto, TensorProto } from "#gpu-worker/graph/onnx/onnx-proto";
import { planQuantization } from "#gpu-worker/graph/quantization-plan";
import { quantize, type ObservedValue } from "#gpu-worker/graph/quantize";
import { convolutionBackbone } from "../../../support/models/small-backbones.js";

const original = decodeModel(convolutionBackbone(32, 24).model);

const opsOf = (model: ModelProto): string[] => (model.graph?.node ?? []).map(({ opType = "" }) => opType);

/** Of the kernels that are not the first: [16, 1, 3, 3] and [24, 16, 3, 3]. */
function kernels(model: ModelProto): TensorProto[] {
  return (model.graph?.initializer ?? []).filter(
    ({ dims, dataType }) => dims?.length === 4 && dataType === 1,
  );
}

function observed(means: number): Map<string, ObservedValue> {
  const { values, convolutionInputs } = planQuantization(original);
  return new Map(
    [...values].map((name) => [
      name,
      {
        least: -1,
        most: 4.1,
        channelMeans: convolutionInputs.has(name) ? new Float64Array(16).fill(means) : null,
      },
    ]),
  );
}

function tensor(model: ModelProto, end: string, at = 0): TensorProto {
  const found = (model.graph?.initializer ?? []).filter(({ name = "" }) => name.endsWith(end))[at];
  assert.ok(found !== undefined, end);
  return found;
}

const int8s = ({ rawData = new Uint8Array(0) }: TensorProto): Int8Array =>
  new Int8Array(Uint8Array.from(rawData).buffer);
const int32s = ({ rawData = new Uint8Array(0) }: TensorProto): Int32Array =>
  new Int32Array(Uint8Array.from(rawData).buffer);

describe("quantising a network", () => {
  it("takes every convolution but the first, and leaves what is behind the last one", () => {
    const quantized = quantize(original, observed(0));
    assert.equal(kernels(quantized).length, 1);
    assert.deepEqual(opsOf(quantized).slice(0, 2), ["Conv", "Clip"]);
    assert.equal(opsOf(quantized).filter((op) => op === "QuantizeLinear").length, 3);
    assert.deepEqual(opsOf(quantized).slice(-4), [
      "DequantizeLinear",
      "GlobalAveragePool",
      "Flatten",
      "Identity",
    ]);
    assert.deepEqual(encodeModel(quantize(original, observed(0))), encodeModel(quantized));
  });

  it("moves no weight by more than half a step of its channel, and fills the range", () => {
    const quantized = quantize(original, observed(0));
    for (const [at, kernel] of kernels(original).slice(1).entries()) {
      const weights = floatValues(kernel);
      const levels = int8s(tensor(quantized, "kernel/levels", at));
      const scales = floatValues(tensor(quantized, "kernel/scale", at));
      const length = weights.length / scales.length;
      weights.forEach((weight, i) => {
        const step = scales[Math.floor(i / length)] ?? 0;
        assert.ok(Math.abs(weight - (levels[i] ?? NaN) * step) <= 0.501 * step);
      });
      for (let row = 0; row < scales.length; row += 1) {
        const own = levels.subarray(row * length, (row + 1) * length);
        assert.equal(Math.max(...own.map(Math.abs)), 127);
      }
    }
  });

  it("makes zero one of the levels of every value", () => {
    const quantized = quantize(original, observed(0));
    // -1 to 4.1 in 255 steps of 0.02: zero is the fiftieth.
    assert.deepEqual([...(tensor(quantized, "/zero").rawData ?? [])], [50]);
    assert.equal(floatValues(tensor(quantized, "/scale"))[0], Math.fround(5.1 / 255));
  });

  it("takes off each bias what rounding adds to the mean", () => {
    const mean = 2;
    const [without, corrected] = [quantize(original, observed(0)), quantize(original, observed(mean))];
    const weights = floatValues(kernels(original)[2] ?? {});
    const levels = int8s(tensor(corrected, "kernel/levels", 1));
    const scales = floatValues(tensor(corrected, "kernel/scale", 1));
    const steps = floatValues(tensor(corrected, "bias/scale", 1));
    const [before, after] = [without, corrected].map((model) => int32s(tensor(model, "bias/levels", 1)));
    const length = weights.length / scales.length;
    scales.forEach((scale, row) => {
      let error = 0;
      for (let i = row * length; i < (row + 1) * length; i += 1)
        error += (levels[i] ?? NaN) * scale - (weights[i] ?? NaN);
      const moved = ((before?.[row] ?? NaN) - (after?.[row] ?? NaN)) * (steps[row] ?? NaN);
      assert.ok(Math.abs(moved - error * mean) <= 1.01 * (steps[row] ?? 0), `row ${row}`);
    });
    assert.ok((before ?? []).some((level, row) => level !== after?.[row]));
  });

  it("keeps the bias of a channel without weights", () => {
    const builder = new GraphBuilder();
    const image = builder.input("image", "float32", ["n", 2, 8, 8]);
    const relu = builder.node("Relu", [image]);
    const kernel = builder.constant("kernel", "float32", [2, 2, 1, 1], Float32Array.of(0, 0, 1, -1));
    const bias = builder.constant("bias", "float32", [2], Float32Array.of(3, -0.5));
    const made = builder.node("Conv", [relu, kernel, bias], { kernel_shape: [1, 1] });
    builder.output("embedding", "float32", undefined, builder.node("Flatten", [made], { axis: 1 }));
    const model = builder.encode();
    const seen: ObservedValue = { least: 0, most: 4, channelMeans: Float64Array.of(1, 1) };
    const values = planQuantization(decodeModel(model)).values;
    const quantized = quantize(decodeModel(model), new Map([...values].map((name) => [name, seen])));
    const levels = int32s(tensor(quantized, "bias/levels"));
    const steps = floatValues(tensor(quantized, "bias/scale"));
    assert.ok(Math.abs((levels[0] ?? NaN) * (steps[0] ?? NaN) - 3) < 1e-6);
    assert.ok(Math.abs((levels[1] ?? NaN) * (steps[1] ?? NaN) + 0.5) < 1e-3);
  });
});
