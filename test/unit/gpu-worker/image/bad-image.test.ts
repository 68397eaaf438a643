import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { deflateSync, gzipSync } from "node:zlib";
import sharp from "sharp";
import { pngChunk, pngSignature } from "../../../support/images/png.js";
import { type ResolvedDecodeRecipe, decodeImage } from "#gpu-worker/image/decode/decode-image";
import { decodeMemoryBytes } from "#gpu-worker/image/decode/decode-memory";

const recipe: ResolvedDecodeRecipe = {
  side: 32,
  fit: "squash",
  kernel: "lanczos3",
  background: [255, 255, 255],
  maxBytes: 1 << 20,
  maxPixels: 1_000_000,
};

async function reasonOf(bytes: Uint8Array): Promise<string> {
  const decoded = await decodeImage(bytes, recipe);
  return decoded.ok ? "ok" : decoded.reason;
}

/** 120×80, with detail everywhere so that its data fills the file. */
function picture() {
  const raw = Buffer.from(Array.from({ length: 120 * 80 * 3 }, (_, i) => (i * 7919 + ((i * i) >> 5)) % 256));
  return sharp(raw, { raw: { width: 120, height: 80, channels: 3 } });
}

/** As `gzip` writes it; node:zlib leaves the name out. */
function gzipWithName(name: string, text: string): Buffer {
  const plain = gzipSync(text);
  plain[3] = 8;
  return Buffer.concat([plain.subarray(0, 10), Buffer.from(`${name}\0`), plain.subarray(10)]);
}

function pngClaiming(width: number, height: number): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2, 0, 0, 0], 8);
  const data = deflateSync(Buffer.alloc(1 << 16));
  return Buffer.concat([
    pngSignature,
    pngChunk("IHDR", header),
    pngChunk("IDAT", data),
    pngChunk("IEND", Buffer.alloc(0)),
  ]);
}

describe("decodeImage: bad files are typed rows", () => {
  it("an empty file", async () => assert.equal(await reasonOf(new Uint8Array(0)), "empty"));

  it("text, random bytes and a film", async () => {
    assert.equal(await reasonOf(Buffer.from("not a picture at all")), "not-an-image");
    assert.equal(
      await reasonOf(Buffer.from("BMW is a maker of cars, and this a text about it")),
      "not-an-image",
    );
    assert.equal(await reasonOf(Buffer.from([1, 2, 3, 250, 9, 8, 7])), "not-an-image");
    assert.equal(await reasonOf(Buffer.from("\0\0\0\x18ftypisom\0\0\0\0isomiso2", "latin1")), "not-an-image");
  });

  it("formats that are known and not decoded", async () => {
    const svg =
      '<?xml version="1.0"?>\n<!-- drawn -->\n<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>';
    const refused = {
      svg,
      "svg with a byte-order mark": `\xef\xbb\xbf ${svg}`,
      "svg behind comments and blank lines": `\n\t <?xml version="1.0"?>\n<!--${" a comment ".repeat(99)}-->\n<!DOCTYPE svg []>${svg}`,
      "svg in upper case": "<SVG WIDTH='9'></SVG>",
      svgz: gzipSync(svg).toString("latin1"),
      "svgz, with its name inside": gzipWithName("a.svg", svg).toString("latin1"),
      pdf: "%PDF-1.7\n",
      jp2: "\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftypjp2 ",
      "a JPEG 2000 codestream": "\xff\x4f\xff\x51\0\x2f",
      jxl: "\xff\x0a\xfa\x1f",
      ico: "\0\0\x01\0\x01\0",
      postscript: "%!PS-Adobe-3.0 EPSF-3.0\n",
      heic: "\0\0\0\x18ftypheic\0\0\0\0mif1heic",
      bmp: "BM\x46\0\0\0\0\0\0\0\x36\0\0\0",
      psd: "8BPS\0\x01",
    };
    for (const [name, text] of Object.entries(refused)) {
      assert.equal(await reasonOf(Buffer.from(text, "latin1")), "unsupported-format", name);
    }
  });

  it("what hides from a look at its first bytes never reaches a decoder", async () => {
    const svg = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>';
    const hidden = {
      "after 5000 blanks": Buffer.from(" ".repeat(5000) + svg),
      "in UTF-16": Buffer.from(`\ufeff${svg}`, "utf16le"),
      "gzip of something else": gzipSync("no picture"),
      "a gzip bomb": gzipSync(Buffer.alloc(1 << 24, " ")),
      "broken gzip": Buffer.from("\x1f\x8b\x08\0 nothing", "latin1"),
    };
    for (const [name, bytes] of Object.entries(hidden)) {
      assert.equal(await reasonOf(bytes), "not-an-image", name);
    }
  });

  it("more bytes than allowed", async () => {
    assert.equal(
      await reasonOf(Buffer.concat([await picture().png().toBuffer(), Buffer.alloc(1 << 20)])),
      "too-large",
    );
  });

  it("a header that claims 60000×60000 is refused at once, with no memory for it", async () => {
    const before = process.memoryUsage().rss;
    assert.equal(await reasonOf(pngClaiming(60_000, 60_000)), "too-many-pixels");
    assert.equal(await reasonOf(pngClaiming(60_000, 10)), "truncated");
    assert.ok(process.memoryUsage().rss - before < 200 << 20);
  });

  it("a whole picture at the limit of pixels passes, one row more does not", async () => {
    const solid = (height: number) =>
      sharp({ create: { width: 1000, height, channels: 3, background: "red" } })
        .png()
        .toBuffer();
    assert.equal(await reasonOf(await solid(1000)), "ok");
    assert.equal(await reasonOf(await solid(1001)), "too-many-pixels");
  });

  for (const format of ["jpeg", "png", "webp", "gif", "tiff", "avif"] as const) {
    it(`${format} cut off anywhere`, async () => {
      const whole = await picture().toFormat(format).toBuffer();
      assert.equal(await reasonOf(whole), "ok");
      const shares = format === "avif" ? [0.2, 0.6, 0.95] : [0.1, 0.25, 0.4, 0.55, 0.7, 0.85, 0.95];
      for (const share of shares) {
        assert.equal(
          await reasonOf(whole.subarray(0, Math.floor(whole.length * share))),
          "truncated",
          `at ${share}`,
        );
      }
    });
  }

  it("a whole PNG whose data do not inflate", async () => {
    const png = await picture().png().toBuffer();
    const at = png.indexOf("IDAT", 0, "latin1") + 40;
    png.fill(0xff, at, at + 400);
    // Our own words: of the decoder's, which comes first is a matter of its threads.
    assert.deepEqual(await decodeImage(png, recipe), {
      ...{ ok: false, reason: "decode-failed" },
      detail: "png: its 120×80 pixels cannot be decoded",
    });
    png.fill(0, 8, 33);
    png.writeUInt32BE(13, 8);
    assert.deepEqual(await decodeImage(png, recipe), {
      ...{ ok: false, reason: "decode-failed" },
      detail: "png: its header cannot be read",
    });
  });

  it("whatever a reader throws at their bytes", async () => {
    class Hostile extends Uint8Array {
      override get buffer(): ArrayBuffer {
        throw new RangeError("Offset is outside the bounds of the DataView");
      }
    }
    for (const format of ["jpeg", "png", "tiff"] as const) {
      const bytes = new Hostile(await picture().toFormat(format).toBuffer());
      assert.deepEqual(await decodeImage(bytes, recipe), {
        ...{ ok: false, reason: "decode-failed" },
        detail: "its structure cannot be read: Offset is outside the bounds of the DataView",
      });
      assert.equal(await decodeMemoryBytes(bytes, recipe), 0);
    }
  });

  it("bytes after the end of a JPEG do no harm", async () => {
    const jpeg = Buffer.concat([await picture().jpeg().toBuffer(), Buffer.from("a phone's trailer")]);
    assert.equal(await reasonOf(jpeg), "ok");
  });
});
