import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { decodeImage, type ResolvedDecodeRecipe } from "#gpu-worker/image/decode/decode-image";
import sharp from "sharp";
import { z } from "zod";

/** Small pictures against what Pillow, or a formula, makes of them (enlarged-pictures.py). */
const fit = z.enum(["squash", "crop"]);
const kernel = z.enum(["nearest", "linear", "cubic", "mitchell", "lanczos2", "lanczos3"]);
const golden = z
  .object({
    side: z.int(),
    cases: z.array(
      z.object({ fit, kernel, width: z.int(), height: z.int(), input: z.base64(), pixels: z.base64() }),
    ),
  })
  .parse(
    JSON.parse(
      readFileSync(new URL("../../golden/enlarged-pictures.json", import.meta.url), "utf8"),
    ) as unknown,
  );

const recipe: ResolvedDecodeRecipe = {
  side: golden.side,
  fit: "squash",
  kernel: "lanczos3",
  background: [10, 200, 90],
  maxBytes: 1 << 20,
  maxPixels: 1 << 20,
};

function pngOf(pixels: Uint8Array, width: number, height: number): Promise<Buffer> {
  return sharp(pixels, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
}

async function decoded(file: Uint8Array, asked: Partial<ResolvedDecodeRecipe>): Promise<Uint8Array> {
  const image = await decodeImage(file, { ...recipe, ...asked });
  assert.ok(image.ok, image.ok ? "" : `${image.reason}: ${image.detail}`);
  return image.pixels;
}

function worstDifference(actual: Uint8Array, expected: Uint8Array): number {
  assert.equal(actual.length, expected.length);
  return actual.reduce((worst, value, i) => Math.max(worst, Math.abs(value - (expected[i] as number))), 0);
}

/** Pixels from right to left. */
function mirrored(pixels: Uint8Array, width: number): Uint8Array {
  return Uint8Array.from(pixels, (_, i) => {
    const [row, x, channel] = [Math.floor(i / (width * 3)), Math.floor(i / 3) % width, i % 3];
    return pixels[(row * width + width - 1 - x) * 3 + channel] as number;
  });
}

describe("an enlarged picture", () => {
  for (const { width, height, input, pixels, ...how } of golden.cases) {
    it(`${width}×${height}, ${how.fit}, ${how.kernel}: is what Pillow or the formula gives`, async () => {
      const file = await pngOf(Buffer.from(input, "base64"), width, height);
      const worst = worstDifference(await decoded(file, how), Buffer.from(pixels, "base64"));
      assert.ok(worst <= 1, `a level is off by ${worst}`);
    });
  }

  it("gives the mirrored result when it is mirrored", async () => {
    for (const { width, height, input } of golden.cases) {
      const original = Buffer.from(input, "base64");
      const files = [
        await pngOf(original, width, height),
        await pngOf(mirrored(original, width), width, height),
      ];
      for (const fit of ["squash", "crop", "letterbox"] as const) {
        for (const side of [64, 65]) {
          const [straight, turned] = await Promise.all(files.map((file) => decoded(file, { side, fit })));
          const worst = worstDifference(mirrored(straight as Uint8Array, side), turned as Uint8Array);
          assert.ok(worst <= 1, `${width}×${height}, ${fit}, ${side}: a level is off by ${worst}`);
        }
      }
    }
  });

  it("keeps an edge in its middle there, whatever the fit and the format", async () => {
    const [width, height] = [120, 80];
    const edge = Uint8Array.from({ length: width * height * 3 }, (_, i) =>
      Math.floor(i / 3) % width < width / 2 ? 30 : 220,
    );
    const png = await pngOf(edge, width, height);
    const jpeg = await sharp(png).jpeg({ quality: 100, chromaSubsampling: "4:4:4" }).toBuffer();
    const onItsSide = await sharp(png).rotate(270).withMetadata({ orientation: 6 }).png().toBuffer();
    for (const file of [png, jpeg, onItsSide]) {
      for (const fit of ["squash", "crop", "letterbox"] as const) {
        for (const kernel of ["linear", "cubic", "mitchell", "lanczos2", "lanczos3"] as const) {
          const pixels = await decoded(file, { side: 224, fit, kernel });
          const row = Array.from({ length: 224 }, (_, x) => pixels[(112 * 224 + x) * 3] as number);
          const first = row.findIndex((level) => level >= 125);
          const [low = NaN, high = NaN] = [row[first - 1], row[first]];
          // Between the centres of two pixels, by a straight line through their levels.
          const crossing = first - 0.5 + (125 - low) / (high - low);
          assert.ok(Math.abs(crossing - 112) < 0.02, `${fit}, ${kernel}: the edge is at ${crossing}`);
        }
      }
    }
  });

  it("is letterboxed on the background, in the middle and with its own aspect", async () => {
    const white = await pngOf(new Uint8Array(12 * 8 * 3).fill(255), 12, 8);
    const pixels = await decoded(white, { side: 24, fit: "letterbox" });
    const column = Array.from({ length: 24 }, (_, y) => [
      ...pixels.subarray((y * 24 + 5) * 3, (y * 24 + 5) * 3 + 3),
    ]);
    const ground = Array<number[]>(4).fill([10, 200, 90]);
    assert.deepEqual(column, [...ground, ...Array<number[]>(16).fill([255, 255, 255]), ...ground]);
    const line = await decoded(await pngOf(new Uint8Array(90), 30, 1), { side: 60, fit: "letterbox" });
    assert.equal(line.filter((level) => level === 0).length, 60 * 2 * 3);
  });

  it("of a bundle from before is half a pixel off, as that bundle was trained", async () => {
    const edge = Uint8Array.from({ length: 12 * 12 * 3 }, (_, i) => (Math.floor(i / 3) % 12 < 6 ? 30 : 220));
    const file = await pngOf(edge, 12, 12);
    const before = await decoded(file, { decodeVersion: 1 });
    const expected = await sharp(file).resize(24, 24, { fit: "fill", kernel: "lanczos3" }).raw().toBuffer();
    assert.deepEqual(Buffer.from(before), expected);
    assert.ok(worstDifference(await decoded(file, {}), before) > 20);
  });
});
