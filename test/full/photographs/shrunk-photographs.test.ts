import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { recipe } from "@trommel/common";
import { decodeImage } from "#gpu-worker/image/decode/decode-image";
import sharp from "sharp";
import { sharedData, sharedPhotographs } from "../../support/images/shared-data.js";

const data = sharedData();
const skip = data === undefined ? "no ../shared/data beside the checkout" : false;

describe("real photographs, which only shrink", { skip }, () => {
  it("keep the pixels of the first release, byte for byte", async () => {
    assert.ok(data !== undefined);
    const photographs = await sharedPhotographs(data, 40);
    for (const side of [224, 320]) {
      const decode = { ...recipe.parse({ backbones: ["any"] }).decode, side };
      for (const file of photographs) {
        const expected = await sharp(file)
          .resize(side, side, { fit: "fill", kernel: "lanczos3", fastShrinkOnLoad: false })
          .raw()
          .toBuffer();
        const decoded = await decodeImage(file, decode);
        assert.ok(decoded.ok);
        assert.ok(expected.equals(decoded.pixels));
      }
    }
    assert.ok(photographs.length >= 200);
  });
});
