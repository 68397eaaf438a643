import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { deflateSync } from "node:zlib";
import sharp from "sharp";
import { decodeInChild, type ChildDecoding } from "../../support/images/decode-in-child.js";
import { pngChunk, pngSignature } from "../../support/images/png.js";
import { temporaryFolder } from "../../support/files/temp-folder.js";

const folder = await temporaryFolder("bombs");

/** Node.js and libvips alone take 100 MB, and what each of these would unpack to is more than 500. */
const peakLimitBytes = 400 << 20;

const zeros = (megabytes: number): Buffer => deflateSync(Buffer.alloc(megabytes << 20), { level: 1 });
const manyZeros = zeros(512);

function png(width: number, height: number, ...chunks: readonly Buffer[]): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([16, 6, 0, 0, 0], 8);
  return Buffer.concat([
    ...[pngSignature, pngChunk("IHDR", header), ...chunks],
    ...[pngChunk("IDAT", zeros(1)), pngChunk("IEND", Buffer.alloc(0))],
  ]);
}

/** A small picture with its size overwritten. */
async function patched(
  format: "jpeg" | "webp" | "avif" | "gif",
  patch: (bytes: Buffer) => void,
  options: object = {},
): Promise<Buffer> {
  const bytes = await sharp({ create: { width: 64, height: 64, channels: 3, background: "teal" } })
    .toFormat(format, options)
    .toBuffer();
  patch(bytes);
  return bytes;
}

interface TiffShape {
  readonly width?: number;
  readonly height?: number;
  readonly channels?: number;
  readonly tile?: number;
}

/** One strip or tile of deflated zeros (TIFF 6.0). */
function tiff({ width = 60_000, height = 60_000, channels = 3, tile = 0 }: TiffShape): Buffer {
  const data = zeros(4);
  const tags: [number, number, number][] = [
    ...[[256, 4, width] as const, [257, 4, height] as const, [258, 3, 8] as const, [259, 3, 8] as const],
    ...[[262, 3, channels < 3 ? 1 : 2] as const, [277, 3, channels] as const, [284, 3, 1] as const],
    ...(tile > 0
      ? [
          [322, 4, tile] as const,
          [323, 4, tile] as const,
          [324, 4, 8] as const,
          [325, 4, data.length] as const,
        ]
      : [[273, 4, 8] as const, [278, 4, height] as const, [279, 4, data.length] as const]),
  ].map(([number, type, value]) => [number, type, value]);
  tags.sort(([left], [right]) => left - right);
  const start = 8 + data.length + (data.length % 2);
  const out = Buffer.alloc(start + 2 + tags.length * 12 + 4);
  out.write("II*\0", "latin1");
  out.writeUInt32LE(start, 4);
  data.copy(out, 8);
  out.writeUInt16LE(tags.length, start);
  for (const [i, [number, type, value]] of tags.entries()) {
    const at = start + 2 + i * 12;
    out.writeUInt16LE(number, at);
    out.writeUInt16LE(type, at + 2);
    out.writeUInt32LE(1, at + 4);
    if (type === 3) out.writeUInt16LE(value, at + 8);
    else out.writeUInt32LE(value, at + 8);
  }
  return out;
}

/** The same frame again and again: each is one picture of the canvas's size. */
async function animation(frames: number): Promise<Buffer> {
  const still = await sharp({ create: { width: 1000, height: 1000, channels: 3, background: "teal" } })
    .gif()
    .toBuffer();
  const start = still.indexOf(Buffer.from([0x21, 0xf9, 4]));
  const frame = still.subarray(start, -1);
  return Buffer.concat([still.subarray(0, start), ...Array<Buffer>(frames).fill(frame), still.subarray(-1)]);
}

/** A progressive JPEG whose last scan comes again and again: each means a pass over the whole picture. */
async function manyScans(scans: number): Promise<Buffer> {
  const jpeg = await sharp({ create: { width: 4000, height: 4000, channels: 3, background: "teal" } })
    .jpeg({ progressive: true })
    .toBuffer();
  const last = jpeg.lastIndexOf(Buffer.from([0xff, 0xda]));
  const scan = jpeg.subarray(last, -2);
  return Buffer.concat([jpeg.subarray(0, last), ...Array<Buffer>(scans).fill(scan), jpeg.subarray(-2)]);
}

const keyword = Buffer.from("x\0\0", "latin1");
const bombs: Record<string, { outcome: RegExp; make: () => Promise<Buffer> | Buffer }> = {
  "png of 60000×60000": { outcome: /^too-many-pixels$/, make: () => png(60_000, 60_000) },
  "png with a profile of 512 MB": {
    outcome: /^ok$/,
    make: () => png(64, 64, pngChunk("iCCP", Buffer.concat([keyword, manyZeros]))),
  },
  "png with a text of 512 MB": {
    outcome: /^ok$/,
    make: () => png(64, 64, pngChunk("zTXt", Buffer.concat([keyword, manyZeros]))),
  },
  "png with more data than pixels": {
    outcome: /^ok$|^decode-failed$/,
    make: () => png(64, 64, pngChunk("IDAT", manyZeros)),
  },
  "jpeg of 65500×65500": {
    outcome: /^too-many-pixels$/,
    make: () =>
      patched("jpeg", (bytes) => bytes.writeUInt32BE(0xffdcffdc, bytes.indexOf("ffc00011", 0, "hex") + 5)),
  },
  "progressive jpeg of 10000 scans": { outcome: /^decode-failed$|^ok$/, make: () => manyScans(10_000) },
  "gif of 65535×65535": {
    outcome: /^too-many-pixels$/,
    make: () =>
      patched("gif", (bytes) => {
        // 65535 each, on the canvas and in the first frame's descriptor.
        bytes.writeUInt32LE(0xffffffff, 6);
        bytes.writeUInt32LE(0xffffffff, bytes.indexOf("2c00000000", 0, "hex") + 5);
      }),
  },
  "gif of 20000 frames": { outcome: /^ok$/, make: () => animation(20_000) },
  "webp of 16383×16383": {
    outcome: /^too-many-pixels$/,
    make: () =>
      // Width and height less one, in 14 bits each, behind the signature byte of VP8L.
      patched("webp", (bytes) => bytes.writeUInt32LE(0x3ffe * (1 + (1 << 14)), 21), { lossless: true }),
  },
  "avif of 60000×60000": {
    outcome: /^too-many-pixels$/,
    make: () =>
      patched("avif", (bytes) => {
        const at = bytes.indexOf("ispe");
        bytes.writeUInt32BE(60_000, at + 8);
        bytes.writeUInt32BE(60_000, at + 12);
      }),
  },
  "tiff of 60000×60000": { outcome: /^too-many-pixels$/, make: () => tiff({}) },
  "tiff with a tile of 65536×65536": {
    outcome: /^decode-failed$/,
    make: () => tiff({ width: 64, height: 64, tile: 65_536 }),
  },
  "tiff with 65000 channels": {
    outcome: /^unsupported-format$/,
    make: () => tiff({ width: 4000, height: 4000, channels: 65_000 }),
  },
};

describe("a decompression bomb is refused without the memory", () => {
  let decodings: readonly ChildDecoding[] = [];

  before(async () => {
    const paths: string[] = [];
    for (const [index, { make }] of Object.values(bombs).entries()) {
      const path = join(folder, String(index));
      await writeFile(path, await make());
      paths.push(path);
    }
    decodings = await decodeInChild(paths);
  });

  for (const [index, [name, { outcome }]] of Object.entries(bombs).entries()) {
    it(name, () => {
      const decoding = decodings[index];
      assert.match(decoding?.outcome ?? "", outcome);
      const { peakBytes = NaN } = decoding ?? {};
      assert.ok(peakBytes < peakLimitBytes, `${peakBytes / 2 ** 20} MB at the height so far`);
    });
  }
});
