import assert from "node:assert/strict";
import { describe, it } from "node:test";
import sharp from "sharp";
import {
  type DecodedImage,
  type ResolvedDecodeRecipe,
  decodeImage,
} from "#gpu-worker/image/decode/decode-image";

const recipe: ResolvedDecodeRecipe = {
  side: 8,
  fit: "squash",
  kernel: "nearest",
  background: [10, 200, 90],
  maxBytes: 1 << 24,
  maxPixels: 100_000_000,
};

type Rgb = readonly [number, number, number];
const A: Rgb = [250, 20, 60];
const B: Rgb = [30, 220, 100];
const C: Rgb = [40, 80, 240];
const D: Rgb = [200, 180, 10];

/** Each letter becomes a solid block of 16×16 pixels. */
function blocks(rows: readonly (readonly Rgb[])[], size = 16) {
  const width = (rows[0]?.length ?? 0) * size;
  const height = rows.length * size;
  const pixels = Buffer.alloc(width * height * 3);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      pixels.set(rows[Math.floor(y / size)]?.[Math.floor(x / size)] ?? [0, 0, 0], (y * width + x) * 3);
    }
  }
  return sharp(pixels, { raw: { width, height, channels: 3 } });
}

function pixelsOf(decoded: DecodedImage): Uint8Array {
  assert.ok(decoded.ok, decoded.ok ? "" : `${decoded.reason}: ${decoded.detail}`);
  return decoded.pixels;
}

function at(pixels: Uint8Array, side: number, x: number, y: number): number[] {
  return [...pixels.subarray((y * side + x) * 3, (y * side + x) * 3 + 3)];
}

function near(actual: readonly number[], expected: readonly number[], tolerance: number, what: string): void {
  const far = actual.some((value, i) => Math.abs(value - (expected[i] ?? NaN)) > tolerance);
  assert.ok(!far && actual.length === expected.length, `${what}: ${actual.join()} is not ${expected.join()}`);
}

/** The colour of each quarter, read away from the seams. */
function quarters(pixels: Uint8Array): number[][] {
  return [at(pixels, 8, 1, 1), at(pixels, 8, 6, 1), at(pixels, 8, 1, 6), at(pixels, 8, 6, 6)];
}

describe("decodeImage: colours", () => {
  it("yields RGB, row by row, without loss from a PNG of its own size", async () => {
    const raw = Buffer.from(Array.from({ length: 8 * 8 * 3 }, (_, i) => (i * 37 + 11) % 256));
    const png = await sharp(raw, { raw: { width: 8, height: 8, channels: 3 } })
      .png()
      .toBuffer();
    for (const kernel of ["nearest", "lanczos3"] as const) {
      assert.deepEqual(Buffer.from(pixelsOf(await decodeImage(png, { ...recipe, kernel }))), raw);
    }
  });

  it("spreads grey over three channels", async () => {
    for (const format of ["png", "jpeg"] as const) {
      const grey = await sharp(Buffer.alloc(64, 93), { raw: { width: 8, height: 8, channels: 1 } })
        .toColourspace("b-w")
        .toFormat(format)
        .toBuffer();
      assert.equal((await sharp(grey).metadata()).channels, 1);
      near(at(pixelsOf(await decodeImage(grey, recipe)), 8, 3, 3), [93, 93, 93], 1, format);
    }
  });

  it("flattens transparency on the background, in proportion", async () => {
    const rgba = Buffer.alloc(8 * 8 * 4);
    for (let i = 0; i < 64; i += 1) rgba.set([110, 100, 190, i < 32 ? 0 : 51], i * 4);
    const png = await sharp(rgba, { raw: { width: 8, height: 8, channels: 4 } })
      .png()
      .toBuffer();
    const pixels = pixelsOf(await decodeImage(png, recipe));
    assert.deepEqual(at(pixels, 8, 2, 2), [10, 200, 90]);
    near(at(pixels, 8, 2, 6), [10 + 100 * 0.2, 200 - 100 * 0.2, 90 + 100 * 0.2], 1, "a fifth opaque");
  });

  it("reads palettes, with and without a transparent entry", async () => {
    const palette = await blocks([
      [A, B],
      [C, D],
    ])
      .png({ palette: true, colours: 4, dither: 0 })
      .toBuffer();
    assert.equal((await sharp(palette).metadata()).isPalette, true);
    for (const [i, quarter] of quarters(pixelsOf(await decodeImage(palette, recipe))).entries()) {
      near(quarter, [A, B, C, D][i] ?? [], 4, `quarter ${i}`);
    }
    const clear = await sharp(Buffer.alloc(64 * 4), { raw: { width: 8, height: 8, channels: 4 } })
      .png({ palette: true })
      .toBuffer();
    assert.deepEqual(at(pixelsOf(await decodeImage(clear, recipe)), 8, 4, 4), [10, 200, 90]);
  });

  it("cuts 16 bits to 8, flattening included", async () => {
    const levels = [0x1234, 0x8080, 0xfe00, 0x8000];
    const raw = Uint16Array.from({ length: 64 * 4 }, (_, i) => (i % 4 === 3 ? 0xffff : (levels[i % 4] ?? 0)));
    const png = await sharp(raw, { raw: { width: 8, height: 8, channels: 4 } })
      .toColourspace("rgb16")
      .png()
      .toBuffer();
    assert.equal((await sharp(png).metadata()).depth, "ushort");
    near(at(pixelsOf(await decodeImage(png, recipe)), 8, 4, 4), [0x12, 0x80, 0xfe], 1, "opaque");
    const clear = await sharp(new Uint16Array(64 * 4), { raw: { width: 8, height: 8, channels: 4 } })
      .toColourspace("rgb16")
      .png()
      .toBuffer();
    near(at(pixelsOf(await decodeImage(clear, recipe)), 8, 4, 4), [10, 200, 90], 1, "clear");
  });

  it("turns CMYK into sRGB", async () => {
    const muted: Rgb[] = [
      [150, 90, 80],
      [90, 140, 100],
      [100, 110, 150],
      [128, 128, 128],
    ];
    const jpeg = await blocks([muted.slice(0, 2), muted.slice(2)])
      .toColourspace("cmyk")
      .jpeg({ quality: 100 })
      .toBuffer();
    assert.equal((await sharp(jpeg).metadata()).space, "cmyk");
    for (const [i, quarter] of quarters(pixelsOf(await decodeImage(jpeg, recipe))).entries()) {
      near(quarter, muted[i] ?? [], 14, `quarter ${i}`);
    }
  });

  it("applies an embedded profile", async () => {
    const jpeg = await blocks([[[120, 200, 90]]])
      .withIccProfile("p3")
      .jpeg({ quality: 100, chromaSubsampling: "4:4:4" })
      .toBuffer();
    const stored = await sharp(jpeg, { ignoreIcc: true }).raw().toBuffer();
    assert.ok(Math.abs((stored[0] ?? 0) - 120) > 10, "the file's own numbers are Display P3");
    near(at(pixelsOf(await decodeImage(jpeg, recipe)), 8, 4, 4), [120, 200, 90], 3, "sRGB");
  });

  it("decodes AVIF of 8 and 10 bits, with transparency and a profile", async () => {
    const levels = [110, 100, 190, 51] as const;
    const rgba = Buffer.from(Array.from({ length: 32 * 32 * 4 }, (_, i) => levels[i % 4] ?? 0));
    const clear = sharp(rgba, { raw: { width: 32, height: 32, channels: 4 } });
    const lossless = { lossless: true, chromaSubsampling: "4:4:4" } as const;
    const blended = [10 + 100 * 0.2, 200 - 100 * 0.2, 90 + 100 * 0.2];
    for (const bitdepth of [8, 10] as const) {
      const file = await clear
        .clone()
        .avif({ ...lossless, bitdepth })
        .toBuffer();
      near(at(pixelsOf(await decodeImage(file, recipe)), 8, 4, 4), blended, 2, `${bitdepth} bits`);
    }
    const p3 = await blocks([[[120, 200, 90]]])
      .withIccProfile("p3")
      .avif(lossless)
      .toBuffer();
    near(at(pixelsOf(await decodeImage(p3, recipe)), 8, 4, 4), [120, 200, 90], 3, "Display P3");
    assert.ok((await sharp(p3).metadata()).hasProfile);
  });

  it("shows an animation's first frame", async () => {
    const frames = Buffer.concat([Buffer.alloc(192, Buffer.from(A)), Buffer.alloc(192, Buffer.from(C))]);
    for (const format of ["gif", "webp"] as const) {
      const source = sharp(frames, { raw: { width: 8, height: 16, channels: 3, pageHeight: 8 } });
      const file = await (format === "gif" ? source.gif() : source.webp({ lossless: true })).toBuffer();
      assert.equal((await sharp(file).metadata()).pages, 2);
      near(at(pixelsOf(await decodeImage(file, recipe)), 8, 4, 4), A, 4, format);
    }
  });
});

describe("decodeImage: geometry", () => {
  // What each EXIF orientation does to the stored picture [A B; C D], worked out by hand from the standard's table.
  const upright: Record<number, readonly Rgb[]> = {
    1: [A, B, C, D],
    2: [B, A, D, C],
    3: [D, C, B, A],
    4: [C, D, A, B],
    5: [A, C, B, D],
    6: [C, A, D, B],
    7: [D, B, C, A],
    8: [B, D, A, C],
  };
  for (const [orientation, expected] of Object.entries(upright)) {
    it(`stands orientation ${orientation} upright`, async () => {
      for (const format of ["jpeg", "tiff", "png"] as const) {
        const file = await blocks([
          [A, B],
          [C, D],
        ])
          .withMetadata({ orientation: Number(orientation) })
          .toFormat(format, format === "jpeg" ? { quality: 100, chromaSubsampling: "4:4:4" } : {})
          .toBuffer();
        assert.equal((await sharp(file).metadata()).orientation, Number(orientation));
        for (const [i, quarter] of quarters(pixelsOf(await decodeImage(file, recipe))).entries()) {
          near(quarter, expected[i] ?? [], 12, `${format}, quarter ${i}`);
        }
      }
    });
  }

  it("squashes, letterboxes and crops a wide picture, and a turned one as it stands", async () => {
    const wide = blocks([[A, B, C, D]]);
    const plain = await wide.clone().png().toBuffer();
    const turned = await wide.clone().withMetadata({ orientation: 6 }).png().toBuffer();
    const column = (pixels: Uint8Array, x: number) =>
      Array.from({ length: 8 }, (_, y) => at(pixels, 8, x, y));
    const row = (pixels: Uint8Array, y: number) => Array.from({ length: 8 }, (_, x) => at(pixels, 8, x, y));
    const ground = [...recipe.background];

    assert.deepEqual(row(pixelsOf(await decodeImage(plain, recipe)), 3), [A, A, B, B, C, C, D, D]);
    const boxed = pixelsOf(await decodeImage(plain, { ...recipe, fit: "letterbox" }));
    assert.deepEqual(row(boxed, 3), [A, A, B, B, C, C, D, D]);
    assert.deepEqual(column(boxed, 2), [ground, ground, ground, B, B, ground, ground, ground]);
    const cropped = pixelsOf(await decodeImage(plain, { ...recipe, side: 8, fit: "crop" }));
    assert.deepEqual(row(cropped, 0), [B, B, B, B, C, C, C, C]);
    assert.deepEqual(column(pixelsOf(await decodeImage(turned, { ...recipe, fit: "crop" })), 0), [
      ...[B, B, B, B],
      ...[C, C, C, C],
    ]);
    const existing = pixelsOf(await decodeImage(turned, { ...recipe, fit: "letterbox" }));
    assert.deepEqual(row(existing, 0), [ground, ground, ground, A, A, ground, ground, ground]);
  });

  it("paints the background in colour on grey pictures too", async () => {
    const grey = sharp(Buffer.alloc(16 * 4, 93), { raw: { width: 16, height: 4, channels: 1 } });
    for (const space of ["b-w", "grey16"]) {
      const png = await grey.clone().toColourspace(space).png().toBuffer();
      const pixels = pixelsOf(await decodeImage(png, { ...recipe, fit: "letterbox" }));
      near(at(pixels, 8, 0, 0), [10, 200, 90], 1, space);
      near(at(pixels, 8, 0, 4), [93, 93, 93], 1, space);
      const clear = await grey.clone().toColourspace(space).ensureAlpha(0).png().toBuffer();
      assert.equal((await sharp(clear).metadata()).channels, 2);
      near(at(pixelsOf(await decodeImage(clear, recipe)), 8, 4, 4), [10, 200, 90], 1, `clear ${space}`);
    }
  });

  it("averages what it shrinks, whatever the picture's size", async () => {
    const height = 2400;
    const ramp = Buffer.alloc(height * height * 3);
    for (let y = 0; y < height; y += 1) {
      for (let x = 0; x < height; x += 1)
        ramp.fill((x * 255) / height, (y * height + x) * 3, (y * height + x) * 3 + 3);
    }
    const jpeg = await sharp(ramp, { raw: { width: height, height, channels: 3 } })
      .jpeg({ quality: 95 })
      .toBuffer();
    const pixels = pixelsOf(await decodeImage(jpeg, { ...recipe, kernel: "lanczos3" }));
    for (let x = 1; x < 7; x += 1)
      near(at(pixels, 8, x, 4), Array(3).fill(((x + 0.5) / 8) * 255) as number[], 2, "ramp");
  });
});
