import assert from "node:assert/strict";
import { describe, it } from "node:test";
import sharp, { type Sharp } from "sharp";
import { decodeImage, type ResolvedDecodeRecipe } from "#gpu-worker/image/decode/decode-image";
import { drawTexture } from "../../../support/images/dataset.js";

const fits = { squash: "fill", letterbox: "contain", crop: "cover" } as const;

/** What the first release did with a picture, in one line of sharp. */
function firstRelease(file: Uint8Array, recipe: ResolvedDecodeRecipe): Promise<Buffer> {
  const [r, g, b] = recipe.background;
  const background = { r, g, b };
  const { side, fit, kernel } = recipe;
  return sharp(file, { autoOrient: true })
    .flatten({ background })
    .resize({ width: side, height: side, fit: fits[fit], kernel, background, fastShrinkOnLoad: false })
    .toColourspace("srgb")
    .raw()
    .toBuffer();
}

describe("a picture that only shrinks", () => {
  const kinds: Record<string, (picture: Sharp) => Sharp> = {
    jpeg: (picture) => picture.jpeg(),
    "jpeg, progressive": (picture) => picture.jpeg({ progressive: true, chromaSubsampling: "4:4:4" }),
    "jpeg, on its side": (picture) => picture.jpeg().withMetadata({ orientation: 6 }),
    "jpeg, with a profile": (picture) => picture.jpeg().withIccProfile("p3"),
    png: (picture) => picture.png(),
    "png, transparent": (picture) => picture.ensureAlpha(0.4).png(),
    webp: (picture) => picture.webp(),
    gif: (picture) => picture.gif(),
    tiff: (picture) => picture.tiff({ compression: "lzw" }),
  };
  for (const [name, as] of Object.entries(kinds)) {
    it(`keeps the pixels of the first release, byte for byte: ${name}`, async () => {
      for (const [width, height] of [
        [130, 97],
        [97, 400],
        [900, 700],
      ] as const) {
        const picture = sharp(await drawTexture(0, 2, 1)).resize(width, height, { fit: "fill" });
        const file = await as(picture).toBuffer();
        for (const fit of ["squash", "crop", "letterbox"] as const) {
          for (const kernel of ["lanczos3", "linear"] as const) {
            const recipe: ResolvedDecodeRecipe = {
              ...{ side: 97, fit, kernel, maxBytes: 1 << 24, maxPixels: 1 << 24 },
              background: [10, 200, 90],
            };
            const expected = await firstRelease(file, recipe);
            for (const asked of [recipe, { ...recipe, decodeVersion: 1 }]) {
              const decoded = await decodeImage(file, asked);
              assert.ok(decoded.ok);
              assert.ok(expected.equals(decoded.pixels), `${width}×${height}, ${fit}, ${kernel}`);
            }
          }
        }
      }
    });
  }
});
