import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { decodeImage, type ResolvedDecodeRecipe } from "#gpu-worker/image/decode/decode-image";
import { z } from "zod";

/** One picture as TIFF files of every sample type, which other programs wrote (tiff-samples.py). */
const golden = z
  .object({
    side: z.int(),
    background: z.tuple([z.int(), z.int(), z.int()]),
    pixels: z.record(z.string(), z.base64()),
    cases: z.array(
      z.object({ name: z.string(), expected: z.string(), tolerance: z.number(), file: z.base64() }),
    ),
  })
  .parse(
    JSON.parse(readFileSync(new URL("../../golden/tiff-samples.json", import.meta.url), "utf8")) as unknown,
  );

// The pictures have the base image's size, so that no resampling stands between them and what is expected.
const recipe: ResolvedDecodeRecipe = {
  side: golden.side,
  fit: "squash",
  kernel: "lanczos3",
  background: golden.background,
  maxBytes: 1 << 16,
  maxPixels: golden.side ** 2,
};

describe("decodeImage: samples of TIFF are right, or a typed failure", () => {
  for (const { name, expected, tolerance, file } of golden.cases) {
    it(`${name}: ${expected}`, async () => {
      const decoded = await decodeImage(Buffer.from(file, "base64"), recipe);
      const encoded = golden.pixels[expected];
      if (encoded === undefined) {
        assert.equal(decoded.ok ? "decoded" : decoded.reason, expected);
        return;
      }
      assert.ok(decoded.ok, decoded.ok ? "" : `${decoded.reason}: ${decoded.detail}`);
      const pixels = Buffer.from(encoded, "base64");
      assert.equal(decoded.pixels.length, pixels.length);
      const worst = Math.max(...decoded.pixels.map((value, i) => Math.abs(value - (pixels[i] as number))));
      assert.ok(worst <= tolerance, `a level is off by ${worst}, ${tolerance} is allowed`);
    });
  }

  it("is truncated wherever it is cut", async () => {
    for (const { name, expected, file } of golden.cases) {
      const whole = Buffer.from(file, "base64");
      const reasons = golden.pixels[expected] === undefined ? ["truncated", expected] : ["truncated"];
      for (let cut = 16; cut < whole.length - 16; cut += 29) {
        const decoded = await decodeImage(whole.subarray(0, cut), recipe);
        assert.ok(
          !decoded.ok && reasons.includes(decoded.reason),
          `${name} at ${cut}: ${JSON.stringify(decoded)}`,
        );
      }
    }
  });

  it("tells what is wrong with them", async () => {
    const detailOf = async (name: string): Promise<string> => {
      const file = golden.cases.find((each) => each.name === name)?.file ?? "";
      const decoded = await decodeImage(Buffer.from(file, "base64"), recipe);
      return decoded.ok ? "decoded" : decoded.detail;
    };
    assert.equal(await detailOf("grey, float64"), "tiff: 64-bit floating-point numbers");
    assert.equal(
      await detailOf("RGB, float32, one sample above 1"),
      "tiff: a sample is 1.20, and its samples go from 0 to 1",
    );
    assert.match(
      await detailOf("grey, 12 bits in uint16 and nothing that says so"),
      /no MaxSampleValue says/,
    );
  });
});
