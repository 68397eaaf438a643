import assert from "node:assert/strict";
import { describe, it } from "node:test";
import sharp, { type TiffOptions } from "sharp";
import { decodeImage, type ResolvedDecodeRecipe } from "#gpu-worker/image/decode/decode-image";
import { choosePicture } from "#gpu-worker/image/tiff/choose-picture";
import { TiffFile } from "#gpu-worker/image/tiff/directories";
import { segmentsOf } from "#gpu-worker/image/tiff/segments";

const recipe: ResolvedDecodeRecipe = {
  side: 32,
  fit: "squash",
  kernel: "lanczos3",
  background: [255, 255, 255],
  maxBytes: 1 << 25,
  maxPixels: 1_000_000,
};

async function outcome(file: Uint8Array): Promise<string> {
  const decoded = await decodeImage(file, recipe);
  return decoded.ok ? "ok" : decoded.reason;
}

const [width, height] = [260, 400];
/** Noise of 64 levels, of which no codec makes zeros. The numbers are those of "Numerical Recipes". */
function noisePixels(): Buffer {
  const pixels = Buffer.alloc(width * height * 3);
  let state = 1;
  for (let i = 0; i < pixels.length; i += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    pixels[i] = (state >>> 26) * 4;
  }
  return pixels;
}
const noise = sharp(noisePixels(), { raw: { width, height, channels: 3 } });
const shapes: Readonly<Record<string, TiffOptions>> = {
  strips: {},
  tiles: { tile: true, tileWidth: 128, tileHeight: 128 },
};
const write = (compression: string, shape: TiffOptions): Promise<Buffer> =>
  noise
    .clone()
    .tiff({ compression, predictor: "none", quality: 95, ...shape })
    .toBuffer();

function segments(file: Buffer) {
  const { directory } = choosePicture(TiffFile.open(file) as TiffFile);
  assert.ok(directory !== undefined);
  const found = segmentsOf(directory, file);
  assert.ok(found !== undefined);
  return found;
}

/** A copy in which a strip or tile in the middle is changed in place. */
function changed(file: Buffer, change: (data: Buffer) => void): Buffer {
  const copy = Buffer.from(file);
  const { at, count } = segments(copy);
  assert.ok(count > 1, "the first one must stay whole");
  change(at(count >> 1).data);
  return copy;
}

const middle = (data: Buffer): Buffer => data.subarray(data.length / 3, (data.length * 2) / 3);

// Every file is whole until the test damages it. libvips decodes most of them then, and libtiff some.
describe("a TIFF of which a strip or tile is corrupt", () => {
  for (const [shape, options] of Object.entries(shapes)) {
    for (const compression of ["deflate", "lzw", "packbits"]) {
      it(`${compression} in ${shape}`, async () => {
        const file = await write(compression, options);
        assert.equal(await outcome(file), "ok");
        const wrong = /^(decode-failed|truncated)$/;
        assert.match(await outcome(changed(file, (data) => data.fill(0))), wrong, "zeros");
        assert.match(await outcome(changed(file, (data) => middle(data).fill(0))), wrong, "zeros inside");
        assert.match(await outcome(changed(file, (data) => middle(data).fill(0xff))), wrong, "ones inside");
        assert.match(
          await outcome(changed(file, (data) => data.subarray(-200).fill(0))),
          wrong,
          "last zeros",
        );
      });
    }
    it(`deflate in ${shape}, with a check sum that is not that of its rows`, async () => {
      const file = await write("deflate", options);
      const flipped = changed(file, (data) => data.writeUInt8((data.at(-1) ?? 0) ^ 1, data.length - 1));
      assert.equal(await outcome(flipped), "decode-failed");
    });
    it(`JPEG in ${shape}: one that ends early is truncated`, async () => {
      const file = await write("jpeg", options);
      assert.equal(await outcome(file), "ok");
      const half = (data: Buffer) => data.subarray(data.length / 2);
      assert.equal(await outcome(changed(file, (data) => half(data).fill(0))), "truncated");
      const ended = changed(file, (data) => data.set([0xff, 0xd9], data.length >> 1));
      assert.notEqual(await outcome(ended), "ok");
    });
    it(`none in ${shape}: one that is shorter than its rows is truncated`, async () => {
      const file = await write("none", options);
      const { count } = segments(file);
      const sizes = segments(file).at(count >> 1).data.length;
      const directory = entry(file, shape === "tiles" ? 325 : 279);
      const wide = file.readUInt16LE(directory + 2) === 4 ? 4 : 2;
      const at = file.readUInt32LE(directory + 8) + (count >> 1) * wide;
      const short = Buffer.from(file);
      short.writeUIntLE(sizes >> 1, at, wide);
      assert.equal(await outcome(short), shape === "tiles" ? "decode-failed" : "truncated");
    });
  }
});

function entry(file: Buffer, tag: number): number {
  const start = file.readUInt32LE(4);
  const all = Array.from({ length: file.readUInt16LE(start) }, (_, i) => start + 2 + i * 12);
  const found = all.find((at) => file.readUInt16LE(at) === tag);
  assert.ok(found !== undefined, `tag ${tag}`);
  return found;
}

describe("a TIFF of which only the directory is odd", () => {
  /** Its resolution becomes a text with a zero inside, out of order. */
  function withOddText(file: Buffer): Buffer {
    const odd = Buffer.from(file);
    const at = entry(odd, 282);
    odd.writeUInt16LE(305, at);
    odd.writeUInt16LE(2, at + 2);
    odd.writeUInt32LE(4, at + 4);
    odd.write("a\0b\0", at + 8, "latin1");
    return odd;
  }
  for (const [shape, options] of Object.entries(shapes)) {
    for (const compression of ["none", "deflate", "lzw", "packbits", "jpeg"]) {
      it(`keeps its pixels: ${compression} in ${shape}`, async () => {
        const file = await write(compression, options);
        const odd = withOddText(file);
        if (shape === "strips") await assert.rejects(sharp(odd, { failOn: "warning" }).raw().toBuffer());
        assert.deepEqual(await decodeImage(odd, recipe), await decodeImage(file, recipe));
      });
    }
    it(`and is refused for a corrupt part as well: deflate in ${shape}`, async () => {
      const odd = withOddText(await write("deflate", options));
      assert.equal(await outcome(changed(odd, (data) => data.fill(0))), "decode-failed");
    });
  }
  it("keeps its pixels with a tile that is not stored", async () => {
    const file = await write("deflate", shapes["tiles"] ?? {});
    const sparse = Buffer.from(file);
    const { count } = segments(sparse);
    for (const tag of [324, 325]) {
      const at = entry(sparse, tag);
      const wide = sparse.readUInt16LE(at + 2) === 4 ? 4 : 2;
      sparse.fill(
        0,
        sparse.readUInt32LE(at + 8) + (count - 1) * wide,
        sparse.readUInt32LE(at + 8) + count * wide,
      );
    }
    assert.equal(await outcome(sparse), "ok");
  });
  it("keeps its pixels if it is blank, and so its codes are zeros", async () => {
    const blank = sharp({ create: { width: 1000, height: 1000, channels: 3, background: "#fff" } });
    const file = await blank.tiff({ compression: "deflate", predictor: "none" }).toBuffer();
    assert.ok(file.includes(Buffer.alloc(100)));
    assert.equal(await outcome(file), "ok");
  });
});
