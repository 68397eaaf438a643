import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { type ResolvedDecodeRecipe, decodeImage } from "#gpu-worker/image/decode/decode-image";
import { z } from "zod";

/** Files of every odd kind against pixels that another implementation, or arithmetic, says they have (odd-pictures.py). */
const golden = z
  .object({
    side: z.int(),
    background: z.tuple([z.int(), z.int(), z.int()]),
    cases: z.array(
      z.object({ name: z.string(), tolerance: z.number(), file: z.base64(), pixels: z.base64() }),
    ),
  })
  .parse(
    JSON.parse(readFileSync(new URL("../../golden/odd-pictures.json", import.meta.url), "utf8")) as unknown,
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

describe("decodeImage: odd pictures are right", () => {
  for (const { name, tolerance, file, pixels } of golden.cases) {
    it(name, async () => {
      const expected = Buffer.from(pixels, "base64");
      for (const fit of ["squash", "letterbox", "crop"] as const) {
        const decoded = await decodeImage(Buffer.from(file, "base64"), { ...recipe, fit });
        assert.ok(decoded.ok, decoded.ok ? "" : `${decoded.reason}: ${decoded.detail}`);
        let worst = 0;
        for (const [i, value] of decoded.pixels.entries()) {
          worst = Math.max(worst, Math.abs(value - (expected[i] ?? NaN)));
        }
        assert.ok(worst <= tolerance, `${fit}: a level is off by ${worst}, ${tolerance} is allowed`);
        assert.equal(decoded.pixels.length, expected.length);
      }
    });
  }
});
