import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { decodeFeatureShard, decodeGram, decodeHeadWeights, decodeProjection } from "@trommel/common";
import { encodeFeatureShard } from "#common/artefacts/shards/feature-shard";
import { encodeGram, encodeHeadWeights, encodeProjection } from "#common/artefacts/results/projection-codec";
import { fromFloat16, toFloat16 } from "#common/codec/float16";
import { decodeSafetensors, encodeSafetensors } from "#common/codec/safetensors";
import { openKerasSafetensors, isSafetensors } from "#gpu-worker/backbone/weights/keras-safetensors";
import fc from "fast-check";
import { fuzzSeed, hostileBytes, hostileJson, parsesOrRefuses } from "../../support/files/hostile-bytes.js";

const floats = Float32Array.of(1, 2, 3, 4, 5, 6);
const image = Int32Array.of(0, 1, 2);
const view = new Uint8Array(3);
const metadata = { rows: "3", __proto: "x" };
const features = [
  encodeFeatureShard({ dimension: 2, features: floats, image, view }, "f16", metadata),
  encodeFeatureShard({ dimension: 2, features: floats, image, view }, "f32", metadata),
];
const gram = encodeGram({
  dimension: 2,
  rowCount: 3,
  products: Float64Array.of(1, 2, 2, 4),
  columnSum: Float64Array.of(1, 2),
});
const projection = encodeProjection({
  dimension: 3,
  components: 2,
  mean: floats.slice(0, 3),
  basis: floats,
  singularValues: Float64Array.of(2, 1),
  scale: 1,
  energyKept: 0.9,
});
const head = encodeHeadWeights({ "dense/kernel": { shape: [3, 2], data: floats } }, { head: "{}" });
const all = [...features, gram, projection, head];

/** A file of this header and these data. */
function withHeader(header: unknown, data: Uint8Array, stated?: bigint): Uint8Array {
  const text = Buffer.from(JSON.stringify(header) ?? "");
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(stated ?? BigInt(text.length));
  return Buffer.concat([length, text, data]);
}

const headers = [
  { a: { dtype: "F32", shape: [2, 3], data_offsets: [0, 24] } },
  {
    __metadata__: { rows: "3" },
    b: { dtype: "F64", shape: [2], data_offsets: [0, 16] },
    a: { dtype: "F16", shape: [4], data_offsets: [16, 24] },
  },
];

describe("safetensors under fuzz", () => {
  it("is decoded or refused, whatever the bytes, and what is decoded encodes to the same", () => {
    fc.assert(
      fc.property(hostileBytes(...all), (bytes) => checkWhole(bytes)),
      { seed: fuzzSeed, numRuns: 3000 },
    );
  });

  it("is decoded or refused, whatever its header says", () => {
    const data = Buffer.alloc(24, 1);
    const stated = fc.option(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), { nil: undefined, freq: 10 });
    fc.assert(
      fc.property(hostileJson(...headers), stated, (header, length) =>
        checkWhole(withHeader(header, data, length)),
      ),
      { seed: fuzzSeed, numRuns: 3000 },
    );
  });

  it("is an artefact, or refused as one", () => {
    fc.assert(
      fc.property(hostileBytes(...all), (bytes) => {
        parsesOrRefuses(() => decodeFeatureShard(bytes, "features", 2));
        parsesOrRefuses(() => decodeGram(bytes, "gram"));
        parsesOrRefuses(() => decodeProjection(bytes, "projection"));
        parsesOrRefuses(() => decodeHeadWeights(bytes, "head"));
        if (isSafetensors(bytes)) parsesOrRefuses(() => openKerasSafetensors(bytes, "weights"));
      }),
      { seed: fuzzSeed, numRuns: 2000 },
    );
  });

  it("keeps a tensor of any name", () => {
    for (const name of ["__proto__", "constructor", "toString", "", "\u2028"]) {
      const weights = Object.fromEntries([[name, { shape: [6], data: floats }]]);
      const read = decodeHeadWeights(encodeHeadWeights(weights, {}), "head");
      assert.deepEqual(Object.entries(read), Object.entries(weights));
    }
  });
});

function checkWhole(bytes: Uint8Array): void {
  const decoded = parsesOrRefuses(() => decodeSafetensors(bytes));
  if (decoded === undefined) return;
  const { tensors } = decoded;
  const held = Object.values(tensors).reduce((sum, { data }) => sum + data.byteLength, 0);
  assert.ok(held <= bytes.byteLength, "it holds no more than the file");
  const again = decodeSafetensors(encodeSafetensors(decoded));
  assert.deepEqual(Object.keys(again.tensors).sort(), Object.keys(tensors).sort());
  for (const [name, { dtype, shape, data }] of Object.entries(tensors)) {
    const other = again.tensors[name];
    assert.deepEqual([other?.dtype, other?.shape], [dtype, shape]);
    const raw = (of: typeof data) => Buffer.from(of.buffer, of.byteOffset, of.byteLength);
    assert.ok(other !== undefined && raw(other.data).equals(raw(data)), name);
  }
}

describe("float16 under fuzz", () => {
  it("comes back as it was, every pattern but the kinds of NaN", () => {
    fc.assert(
      fc.property(fc.uint16Array({ maxLength: 50 }), (patterns) => {
        const isNaN = (pattern: number): boolean => (pattern & 0x7fff) > 0x7c00;
        const back = toFloat16(fromFloat16(patterns));
        for (const [i, pattern] of patterns.entries()) {
          if (isNaN(pattern)) assert.ok(isNaN(back[i] ?? 0));
          else assert.equal(back[i], pattern);
        }
      }),
      { seed: fuzzSeed, numRuns: 1000 },
    );
  });
});
