import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { TrommelError } from "@trommel/common";
import { toFloat16 } from "#common/codec/float16";
import { decodeSafetensors, encodeSafetensors, requireTensor } from "#common/codec/safetensors";
import type { Tensor } from "#common/codec/tensor-dtype";

const golden = (name: string) =>
  new Uint8Array(readFileSync(new URL(`../../../../golden/${name}`, import.meta.url)));

/** What test/golden/write-tensor-goldens.py put into its two files. */
const metadata = { keys: '["a","b"]', läbel: "Glas 🥛" };
const tensors: Record<string, Tensor> = {
  view: { dtype: "U8", shape: [3], data: Uint8Array.of(0, 1, 255) },
  none: { dtype: "U8", shape: [0, 4], data: new Uint8Array(0) },
  features: { dtype: "F16", shape: [2, 3], data: toFloat16([0.1, 65504, -0, 6e-8, Infinity, 1]) },
  image: { dtype: "I32", shape: [4], data: Int32Array.of(0, 1, -7, 2 ** 31 - 1) },
  bias: { dtype: "F32", shape: [2, 2], data: Float32Array.of(1.5, -2.5, 3.25, 1e-40) },
  mean: { dtype: "F64", shape: [3], data: Float64Array.of(0.5, -1.25, 1e-300) },
  scalar: { dtype: "I64", shape: [], data: BigInt64Array.of(2n ** 62n) },
};

const isCode = (code: string) => (thrown: unknown) => thrown instanceof TrommelError && thrown.code === code;

/** A file of any header and data, valid or not. */
function fileOf(header: string | Uint8Array, dataBytes = 0, statedLength?: bigint): Uint8Array {
  const head = typeof header === "string" ? new TextEncoder().encode(header) : header;
  const bytes = new Uint8Array(8 + head.byteLength + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, statedLength ?? BigInt(head.byteLength), true);
  bytes.set(head, 8);
  return bytes;
}

describe("safetensors", () => {
  it("writes the bytes that numpy wrote by hand in the reference's order, whatever order it is given", () => {
    const expected = golden("hand-made-ordered.safetensors");
    assert.deepEqual(encodeSafetensors({ tensors, metadata }), expected);
    const reversed = Object.fromEntries(Object.entries(tensors).reverse());
    const reversedMetadata = Object.fromEntries(Object.entries(metadata).reverse());
    assert.deepEqual(encodeSafetensors({ tensors: reversed, metadata: reversedMetadata }), expected);
  });

  it("reads both hand-made files, aligned and unaligned, at any place in memory", () => {
    for (const name of ["hand-made-ordered.safetensors", "hand-made.safetensors"]) {
      for (const shift of [0, 1, 4, 7]) {
        const bytes = golden(name);
        const moved = new Uint8Array(bytes.byteLength + shift).subarray(shift);
        moved.set(bytes);
        const file = decodeSafetensors(moved);
        assert.deepEqual({ ...file.metadata }, metadata);
        assert.deepEqual({ ...file.tensors }, tensors);
      }
    }
  });

  it("gives views of aligned bytes, not copies", () => {
    const bytes = encodeSafetensors({ tensors });
    const file = decodeSafetensors(bytes);
    for (const tensor of Object.values(file.tensors)) assert.equal(tensor.data.buffer, bytes.buffer);
  });

  it("pads the header to eight bytes and writes names that look like numbers in order", () => {
    const data = Uint8Array.of(1);
    const bytes = encodeSafetensors({
      tensors: { b: { dtype: "U8", shape: [1], data }, "10": { dtype: "U8", shape: [1], data } },
    });
    const headerBytes = Number(new DataView(bytes.buffer).getBigUint64(0, true));
    assert.equal(headerBytes % 8, 0);
    const header = new TextDecoder().decode(bytes.subarray(8, 8 + headerBytes));
    assert.match(header, /^\{"10":.*"b":.*\} *$/);
    assert.deepEqual(decodeSafetensors(encodeSafetensors({ tensors: {} })).tensors, Object.create(null));
  });

  it("is read by numpy with the format's description alone", (context) => {
    const reader = `
import json, struct, sys
import numpy as np
raw = sys.stdin.buffer.read()
(n,) = struct.unpack("<Q", raw[:8])
header = json.loads(raw[8:8+n])
start, end = header["features"]["data_offsets"]
features = np.frombuffer(raw[8+n:], np.float16, count=(end-start)//2, offset=start).reshape(header["features"]["shape"])
print(json.dumps({"sum": float(features[0].astype(np.float64).sum()), "metadata": header["__metadata__"]}))`;
    const python = spawnSync("python3", ["-c", reader], { input: encodeSafetensors({ tensors, metadata }) });
    if (python.status !== 0) return context.skip("python3 with numpy is not here");
    const { sum, metadata: read } = JSON.parse(python.stdout.toString()) as { sum: number; metadata: object };
    // 0.1 as float16 is 1638 / 16384.
    assert.equal(sum, 1638 / 16384 + 65504);
    assert.deepEqual(read, metadata);
  });

  it("refuses what does not fit together when it encodes", () => {
    const data = Float32Array.of(1, 2);
    const bad: Record<string, unknown>[] = [
      { x: { dtype: "F32", shape: [3], data } },
      { x: { dtype: "F64", shape: [2], data } },
      { x: { dtype: "F32", shape: [-1, -2], data } },
      { __metadata__: { dtype: "F32", shape: [2], data } },
    ];
    for (const tensors of bad) {
      assert.throws(
        () => encodeSafetensors({ tensors: tensors as Record<string, Tensor> }),
        isCode("internal"),
      );
    }
  });

  it("refuses each break of the format", () => {
    const entry = (start: number, end: number, shape = "[4]", dtype = "U8") =>
      `{"dtype":"${dtype}","shape":${shape},"data_offsets":[${start},${end}]}`;
    const broken = {
      "too short": new Uint8Array(7),
      "length past the end": fileOf("{}", 0, 3n),
      "length past 2^53": fileOf("{}", 0, 2n ** 63n),
      "not JSON": fileOf("{,}"),
      "not UTF-8": fileOf(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x7d)),
      "not an object": fileOf("[]"),
      "not an entry": fileOf('{"a":1}'),
      "metadata of numbers": fileOf('{"__metadata__":{"a":1}}'),
      gap: fileOf(`{"a":${entry(1, 5)}}`, 5),
      overlap: fileOf(`{"a":${entry(0, 4)},"b":${entry(2, 6)}}`, 6),
      "bytes after the last": fileOf(`{"a":${entry(0, 4)}}`, 5),
      "past the end": fileOf(`{"a":${entry(0, 4)}}`, 3),
      "offsets backwards": fileOf(`{"a":${entry(4, 0)}}`, 4),
      "shape against offsets": fileOf(`{"a":${entry(0, 4, "[5]")}}`, 4),
      "negative shape": fileOf(`{"a":${entry(0, 4, "[-2,-2]")}}`, 4),
      "shape overflow": fileOf(`{"a":${entry(0, 4, "[4294967296,4294967296]")}}`, 4),
      "unknown field": fileOf(`{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0],"extra":1}}`),
    };
    for (const [name, bytes] of Object.entries(broken)) {
      assert.throws(() => decodeSafetensors(bytes), isCode("corrupt"), name);
    }
    assert.throws(
      () => decodeSafetensors(fileOf(`{"a":${entry(0, 4, "[4]", "F8_E4M3")}}`, 4)),
      isCode("unsupported"),
    );
    assert.throws(() => decodeSafetensors(new Uint8Array(100), { maxBytes: 99 }), isCode("too-large"));
  });

  it("takes names such as __proto__ as names", () => {
    const file = decodeSafetensors(
      fileOf('{"__proto__":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', 1),
    );
    assert.deepEqual(Object.keys(file.tensors), ["__proto__"]);
    assert.equal(
      Object.entries(file.tensors).find(([name]) => name === "toString"),
      undefined,
    );
  });

  it("gives a tensor by name, dtype and rank, or says what it found", () => {
    const file = decodeSafetensors(encodeSafetensors({ tensors }));
    assert.deepEqual(requireTensor(file, "image", "I32", 1).data, tensors["image"]?.data);
    assert.throws(() => requireTensor(file, "image", "I32", 2), /'image': it is I32 \[4\]/);
    assert.throws(() => requireTensor(file, "other", "I32", 1), /'other': it is not there/);
  });

  it("throws nothing but TrommelErrors on 20,000 damaged files", () => {
    const whole = golden("hand-made.safetensors");
    let state = 7;
    const draw = (bound: number) => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor((state / 2 ** 32) * bound);
    };
    let refused = 0;
    for (let round = 0; round < 20_000; round += 1) {
      const bytes = whole.slice(0, draw(4) === 0 ? draw(whole.byteLength) : whole.byteLength);
      for (let damage = draw(4); damage >= 0; damage -= 1) {
        if (bytes.byteLength > 0)
          bytes[draw(Math.min(bytes.byteLength, 520))] = draw(2) === 0 ? draw(256) : 0x30 + draw(10);
      }
      try {
        decodeSafetensors(bytes);
      } catch (thrown) {
        assert.ok(thrown instanceof TrommelError, `round ${round}: ${String(thrown)}`);
        refused += 1;
      }
    }
    assert.ok(refused > 10_000, `${refused} were refused`);
  });
});
