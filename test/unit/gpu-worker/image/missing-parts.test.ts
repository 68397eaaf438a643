import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { deflateSync } from "node:zlib";
import sharp from "sharp";
import { type ResolvedDecodeRecipe, decodeImage } from "#gpu-worker/image/decode/decode-image";
import { pngChunk, pngSignature } from "../../../support/images/png.js";

const recipe: ResolvedDecodeRecipe = {
  side: 32,
  fit: "squash",
  kernel: "nearest",
  background: [255, 255, 255],
  maxBytes: 1 << 20,
  maxPixels: 1_000_000,
};

async function outcome(file: Uint8Array, fit: ResolvedDecodeRecipe["fit"] = "squash") {
  const decoded = await decodeImage(file, { ...recipe, fit });
  return decoded.ok ? Buffer.from(decoded.pixels) : decoded.reason;
}

/** With detail everywhere, so that no part is like another. */
function picture(width: number, height: number) {
  const raw = Buffer.from(
    Array.from({ length: width * height * 3 }, (_, i) => (i * 7919 + ((i * i) >> 5)) % 256),
  );
  return { raw, image: sharp(raw, { raw: { width, height, channels: 3 } }) };
}

const end = pngChunk("IEND", Buffer.alloc(0));

function png(width: number, height: number, data: Uint8Array): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2, 0, 0, 0], 8);
  return Buffer.concat([pngSignature, pngChunk("IHDR", header), pngChunk("IDAT", data), end]);
}

describe("decodeImage: a PNG is truncated if rows are missing", () => {
  const { raw } = picture(40, 36);
  const rows = Buffer.concat(
    Array.from({ length: 36 }, (_, y) =>
      Buffer.concat([Buffer.alloc(1), raw.subarray(y * 120, (y + 1) * 120)]),
    ),
  );
  const data = deflateSync(rows);
  const file = png(40, 36, data);

  it("whether it is cut, or closed after a cut", async () => {
    for (let cut = 60; cut < file.length - 30; cut += 331) {
      assert.equal(await outcome(file.subarray(0, cut)), "truncated", `cut at ${cut}`);
      assert.equal(
        await outcome(Buffer.concat([file.subarray(0, cut), end])),
        "truncated",
        `closed at ${cut}`,
      );
    }
    assert.equal(await outcome(png(40, 36, data.subarray(0, 900))), "truncated", "data that stop");
    assert.equal(await outcome(png(40, 36, deflateSync(rows.subarray(0, 121 * 35)))), "truncated", "35 rows");
  });

  it("not if only what follows them is: its end, a check sum, chunks of later frames", async () => {
    const whole = await outcome(file);
    assert.ok(typeof whole !== "string");
    // 12 bytes of IEND, 4 of the chunk's check sum, and 4 of that of zlib (RFC 1950).
    for (let cut = 1; cut <= 20; cut += 1)
      assert.deepEqual(await outcome(file.subarray(0, -cut)), whole, `${cut}`);
    const frame = pngChunk("fdAT", Buffer.alloc(400)).subarray(0, 200);
    assert.deepEqual(await outcome(Buffer.concat([file.subarray(0, -12), frame])), whole);
  });

  it("not if its data come in a million parts, most of them empty", async () => {
    const none = pngChunk("IDAT", Buffer.alloc(0));
    const parts = [...data].flatMap((byte) => [none, pngChunk("IDAT", Buffer.from([byte])), none]);
    const start = file.subarray(0, 33);
    const many = Buffer.alloc(12 * 1_000_000, none);
    const split = Buffer.concat([start, many, ...parts]);
    const whole = await outcome(file);
    const most = { ...recipe, maxBytes: 1 << 25 };
    const decoded = await decodeImage(split, most);
    assert.ok(decoded.ok);
    assert.deepEqual(Buffer.from(decoded.pixels), whole);
    const short = await decodeImage(split.subarray(0, -2000), most);
    assert.equal(short.ok ? "" : short.reason, "truncated");
  });

  it("a wrong check sum is another thing", async () => {
    const wrong = Buffer.from(file);
    wrong[file.length - 14] = (wrong[file.length - 14] ?? 0) ^ 1;
    assert.equal(await outcome(wrong), "decode-failed");
  });

  it("interlaced: each pass counts", async () => {
    const interlaced = await picture(40, 36).image.png({ progressive: true }).toBuffer();
    const whole = await outcome(interlaced);
    assert.ok(typeof whole !== "string");
    assert.deepEqual(await outcome(interlaced.subarray(0, -14)), whole);
    assert.equal(await outcome(interlaced.subarray(0, -60)), "truncated");
  });
});

describe("decodeImage: a GIF is truncated if its first frame lacks pixels", () => {
  let file: Buffer;
  /** The first byte of each part of the frame's data, and of the empty one after them. */
  const parts: number[] = [];
  before(async () => {
    file = await picture(64, 48).image.gif().toBuffer();
    const table = (flags: number) => ((flags & 0x80) === 0 ? 0 : 3 * 2 ** ((flags & 7) + 1));
    let at = 13 + table(file[10] ?? 0);
    const skip = () => {
      while (file[at] !== 0) at += 1 + (file[at] ?? 0);
    };
    while (file[at] === 0x21) {
      at += 2;
      skip();
      at += 1;
    }
    at += 11 + table(file[at + 9] ?? 0);
    for (; file[at] !== 0; at += 1 + (file[at] ?? 0)) parts.push(at);
    parts.push(at);
  });

  it("whether it is cut, or closed after a cut", async () => {
    assert.ok(parts.length > 4);
    for (const at of parts.slice(1, -1)) {
      for (const tail of [[], [0], [0x3b], [0, 0x3b]]) {
        assert.equal(await outcome(Buffer.concat([file.subarray(0, at), Buffer.from(tail)])), "truncated");
        assert.equal(
          await outcome(Buffer.concat([file.subarray(0, at + 50), Buffer.from(tail)])),
          "truncated",
        );
      }
    }
  });

  it("not if its trailer is missing, or a later frame is cut", async () => {
    const whole = await outcome(file);
    assert.ok(typeof whole !== "string");
    const last = parts.at(-1) ?? 0;
    assert.deepEqual(await outcome(file.subarray(0, last + 1)), whole);
    assert.deepEqual(await outcome(file.subarray(0, last)), whole);
    const frame = file.subarray(file.indexOf(0x2c, 13), (parts[1] ?? 0) + 30);
    assert.deepEqual(await outcome(Buffer.concat([file.subarray(0, last + 1), frame])), whole);
  });
});

describe("decodeImage: a WebP is truncated if its picture's chunk is cut", () => {
  for (const lossless of [false, true]) {
    it(lossless ? "lossless" : "lossy", async () => {
      const file = await picture(64, 48).image.webp({ lossless, quality: 70 }).toBuffer();
      const whole = await outcome(file);
      assert.ok(typeof whole !== "string");
      for (const share of [0.2, 0.5, 0.9]) {
        const cut = Buffer.from(file.subarray(0, Math.floor((file.length * share) / 2) * 2));
        assert.equal(await outcome(cut), "truncated");
        cut.writeUInt32LE(cut.length - 8, 4);
        assert.equal(await outcome(cut), "truncated", "with the file's length put right");
        if (lossless) continue;
        cut.writeUInt32LE(cut.length - 20, 16);
        assert.equal(await outcome(cut), "truncated", "with both lengths put right");
      }
      const longer = Buffer.from(file);
      longer.writeUInt32LE(file.length + 992, 4);
      assert.deepEqual(await outcome(longer), whole, "a file's length that is too large");
      assert.deepEqual(await outcome(Buffer.concat([file, Buffer.alloc(50, 7)])), whole, "bytes behind it");
    });
  }
});

describe("decodeImage: a crop reads the rows that it leaves out", () => {
  it("and misses those that are not there", async () => {
    const { image } = picture(40, 90);
    for (const format of ["jpeg", "png"] as const) {
      const file = await image.clone().toFormat(format).toBuffer();
      assert.ok(typeof (await outcome(file, "crop")) !== "string");
      const cut = file.subarray(0, Math.floor(file.length * 0.95));
      assert.equal(await outcome(cut, "crop"), "truncated", format);
    }
  });

  it("with the pixels of sharp's own crop", async () => {
    for (const [width, height] of [
      [40, 90],
      [41, 57],
      [100, 101],
      [333, 1000],
      [64, 65],
    ] as const) {
      const file = await picture(width, height).image.png().toBuffer();
      const expected = await sharp(file)
        .resize({ width: 32, height: 32, fit: "cover", kernel: "nearest", fastShrinkOnLoad: false })
        .raw()
        .toBuffer();
      assert.deepEqual(await outcome(file, "crop"), expected, `${width}×${height}`);
    }
  });
});
