import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { lacksScans, walkJpeg } from "#gpu-worker/image/decode/completeness/jpeg-state";
import { PictureFault } from "#gpu-worker/image/decode/completeness/picture-fault";
import { decodeImage } from "#gpu-worker/image/decode/decode-image";
import sharp from "sharp";

const isBroken = (thrown: unknown) => thrown instanceof PictureFault && thrown.state === "broken";

/** A progressive frame of one component, with a scan of coefficients that has no data. */
function header(width: number, height: number): Buffer {
  const frame = [0xff, 0xc2, 0, 11, 8, height >> 8, height & 255, width >> 8, width & 255, 1, 1, 0x11, 0];
  const scan = (first: number, last: number) => [0xff, 0xda, 0, 8, 1, 1, 0, first, last, 0];
  return Buffer.from([0xff, 0xd8, ...frame, ...scan(0, 0), ...scan(1, 63)]);
}

describe("what a JPEG's header announces is bounded before it is walked", () => {
  it("by the recipe's pixels, and by libjpeg's side", () => {
    assert.throws(() => [...walkJpeg(header(1001, 1000), 1_000_000)], isBroken);
    assert.throws(() => [...walkJpeg(header(65_501, 1), 1_000_000)], isBroken);
    assert.throws(() => [...walkJpeg(header(1000, 1000), 1_000_000)], { state: "truncated" });
  });

  it("and many tables are read with pauses", () => {
    const table = Buffer.from([0xff, 0xc4, 0, 19, 0, ...Buffer.alloc(16)]);
    const tables = Buffer.concat([Buffer.from([0xff, 0xd8]), ...Array.from({ length: 1000 }, () => table)]);
    for (const walk of [walkJpeg(tables, 1), lacksScans(tables, 1)]) {
      let pauses = 0;
      try {
        while (walk.next().done !== true) pauses += 1;
      } catch (thrown) {
        assert.ok(thrown instanceof PictureFault);
      }
      assert.ok(pauses >= 1000, `${pauses}`);
    }
  });
});

describe("a good GIF", () => {
  it("is not copied to be counted", async (t) => {
    const raw = Buffer.from(Array.from({ length: 90_000 }, (_, i) => (i * 7919 + ((i * i) >> 5)) % 256));
    const file = await sharp(raw, { raw: { width: 200, height: 150, channels: 3 } })
      .gif()
      .toBuffer();
    const recipe = { side: 8, fit: "squash", kernel: "nearest", background: [0, 0, 0] } as const;
    const concat = t.mock.method(Buffer, "concat");
    const decoded = await decodeImage(file, {
      ...recipe,
      background: [0, 0, 0],
      maxBytes: 1e6,
      maxPixels: 1e6,
    });
    assert.ok(decoded.ok);
    for (const { result } of concat.mock.calls) assert.ok((result?.length ?? 0) < file.length / 2);
  });
});
