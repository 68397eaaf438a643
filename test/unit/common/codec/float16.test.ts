import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { fromFloat16, fromFloat16Bits, toFloat16, toFloat16Bits } from "#common/codec/float16";

describe("float16", () => {
  it("rounds float32 as numpy does (golden by test/golden/write-tensor-goldens.py)", () => {
    const golden = readFileSync(new URL("../../../../golden/float16.bin", import.meta.url));
    const view = new DataView(golden.buffer, golden.byteOffset, golden.byteLength);
    assert.ok(golden.byteLength / 6 > 5000);
    for (let at = 0; at < golden.byteLength; at += 6) {
      const value = view.getFloat32(at, true);
      assert.equal(toFloat16Bits(value), view.getUint16(at + 4, true), `${value}`);
    }
  });

  it("gives every one of the 65536 patterns back, and NaN as NaN", () => {
    for (let pattern = 0; pattern < 65536; pattern += 1) {
      const value = fromFloat16Bits(pattern);
      const isNan = (pattern & 0x7fff) > 0x7c00;
      assert.equal(Number.isNaN(value), isNan);
      assert.equal(toFloat16Bits(value), isNan ? 0x7e00 : pattern);
      assert.ok(isNan || Object.is(Math.fround(value), value), "a float16 is a float32, exactly");
    }
    const patterns = Uint16Array.from({ length: 65536 }, (_, pattern) => pattern);
    assert.deepEqual([...fromFloat16(patterns)], [...patterns].map(fromFloat16Bits));
  });

  it("takes the nearest of all finite float16 values, found by search, and the even one of two", () => {
    const finite = Array.from({ length: 0x7c00 }, (_, pattern) => fromFloat16Bits(pattern));
    for (let i = 1; i < finite.length; i += 1) assert.ok(finite[i]! > finite[i - 1]!);
    const float = new Float32Array(1);
    for (let step = 0; step < 20_000; step += 1) {
      // A fixed walk over the float32 patterns from 2^-27 to 65504.
      new Uint32Array(float.buffer)[0] = 0x32000000 + ((step * 2654435761) % 0x157fe000);
      const value = float[0]!;
      assert.equal(toFloat16Bits(value), nearest(finite, value), `${value}`);
    }
  });

  it("keeps the sign of zero and of what rounds to it, and overflows to infinity", () => {
    assert.deepEqual([...toFloat16([0, -0, 1e-9, -1e-9])], [0, 0x8000, 0, 0x8000]);
    assert.deepEqual([...toFloat16([65519, 65520, -1e30, Infinity])], [0x7bff, 0x7c00, 0xfc00, 0x7c00]);
    assert.deepEqual(
      [...fromFloat16(Uint16Array.of(0x3c00, 0xc000, 0x0001, 0xfc00))],
      [1, -2, 2 ** -24, -Infinity],
    );
  });
});

function nearest(sorted: readonly number[], value: number): number {
  let low = 0;
  let high = sorted.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! <= value) low = middle;
    else high = middle;
  }
  const below = value - sorted[low]!;
  const above = sorted[high]! - value;
  if (below === above) return low % 2 === 0 ? low : high;
  return below < above ? low : high;
}
