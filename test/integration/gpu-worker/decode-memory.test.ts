import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import {
  decodeMemoryBytes,
  headerMemoryBytes,
  type ImageHeader,
} from "#gpu-worker/image/decode/decode-memory";
import { decodeImage } from "#gpu-worker/image/decode/decode-image";
import { plainTiff } from "#gpu-worker/image/tiff/plain-tiff";
import sharp, { type Sharp } from "sharp";
import { drawTexture } from "../../support/images/dataset.js";
import { temporaryFolder } from "../../support/files/temp-folder.js";

const run = promisify(execFile);
const script = fileURLToPath(new URL("../../support/images/decode-many.js", import.meta.url));

/** A picture whose coefficients, 2 bytes a sample, libjpeg must hold whole: 54 MB at 4:2:0, from a small file. */
const large = { width: 5000, height: 3600 } as const;
const largeMib = (large.width * large.height * 1.5 * 2) / 2 ** 20;
const pictures = 8;
const recipe = { maxPixels: 100_000_000, side: 64, fit: "squash" } as const;
const file = join(await temporaryFolder("decode-memory"), "large.jpg");

describe("decodeMemoryBytes", () => {
  it("knows from the header what is decoded row by row and what is held whole", async () => {
    const texture = sharp(await drawTexture(0, 2, 1)).resize(300, 4000, { fit: "fill" });
    const bytesOf = async (as: (picture: Sharp) => Sharp) =>
      decodeMemoryBytes(await as(texture.clone()).toBuffer(), recipe);
    const whole = 300 * 4000 * 3;
    assert.ok((await bytesOf((p) => p.jpeg())) < whole);
    assert.ok((await bytesOf((p) => p.png())) < whole);
    for (const held of [
      (p: Sharp) => p.jpeg({ progressive: true }),
      (p: Sharp) => p.jpeg().withMetadata({ orientation: 6 }),
      (p: Sharp) => p.png({ progressive: true }),
      (p: Sharp) => p.webp({ effort: 0 }),
      (p: Sharp) => p.tiff(),
      (p: Sharp) => p.avif({ effort: 0 }),
    ])
      assert.ok((await bytesOf(held)) >= 2 * whole);
    const deep = await bytesOf((p) => p.toColourspace("rgb16").png({ progressive: true }));
    assert.equal(deep, 2 * (await bytesOf((p) => p.png({ progressive: true }))));
  });

  it("adds whole pictures in 8 bits where one is enlarged", async () => {
    const file = await sharp(await drawTexture(0, 2, 1))
      .resize(300, 40, { fit: "fill" })
      .png()
      .toBuffer();
    const shrunk = await decodeMemoryBytes(file, { ...recipe, side: 40 });
    assert.equal(await decodeMemoryBytes(file, { ...recipe, side: 41 }), shrunk + 2 * 300 * 40 * 3);
    assert.equal(await decodeMemoryBytes(file, { ...recipe, side: 41, fit: "letterbox" }), shrunk);
    assert.equal(await decodeMemoryBytes(file, { ...recipe, side: 41, decodeVersion: 1 }), shrunk);
  });

  it("adds a whole picture in 8-bit RGB for a grey one with a profile", async () => {
    const [width, height] = [300, 200];
    const tiff = (icc: Uint8Array | undefined) =>
      plainTiff({ width, height, bits: 8, colours: 1, hasAlpha: false, icc, orientation: 1 }).bytes;
    // libvips looks at a profile only when it applies it.
    const icc = Buffer.alloc(200, 1);
    const squash = { ...recipe, side: 40, fit: "squash" } as const;
    const box = { ...squash, fit: "letterbox" } as const;
    const held = width * height * 3;
    const without = await decodeMemoryBytes(tiff(undefined), squash);
    assert.equal(await decodeMemoryBytes(tiff(icc), squash), without + held);
    const texture = sharp(await drawTexture(0, 2, 1)).resize(width, height, { fit: "fill" });
    const bare = await texture.toColourspace("b-w").jpeg().toBuffer();
    const name = Buffer.from("\xff\xe2\0\xd8ICC_PROFILE\0\x01\x01", "latin1");
    const jpeg = Buffer.concat([bare.subarray(0, 2), name, icc, bare.subarray(2)]);
    assert.equal((await sharp(jpeg).metadata()).hasProfile, true);
    assert.equal(await decodeMemoryBytes(jpeg, squash), await decodeMemoryBytes(bare, squash));
    assert.equal(await decodeMemoryBytes(jpeg, box), (await decodeMemoryBytes(bare, box)) + held);
  });

  it("adds all scaled rows of a tall crop, of which the middle is kept", async () => {
    const crop = { ...recipe, side: 50, fit: "crop" } as const;
    const picture = sharp(await drawTexture(0, 2, 1)).resize(101, 4000, { fit: "fill" });
    // 4000 · 50 / 101 is 1980.2.
    const rows = 50 * 1981 * 3;
    for (const file of [await picture.clone().png().toBuffer(), await picture.clone().jpeg().toBuffer()]) {
      const squashed = await decodeMemoryBytes(file, { ...crop, fit: "squash" });
      assert.equal(await decodeMemoryBytes(file, crop), squashed + rows);
      assert.equal(await decodeMemoryBytes(file, { ...crop, decodeVersion: 1 }), squashed + rows);
      assert.equal(await decodeMemoryBytes(file, { ...crop, fit: "letterbox" }), squashed);
    }
    const wide = picture.clone().rotate(90);
    const squash = { ...crop, fit: "squash" } as const;
    const asIs = await wide.clone().jpeg().toBuffer();
    assert.equal(await decodeMemoryBytes(asIs, crop), await decodeMemoryBytes(asIs, squash));
    const turned = await wide.clone().withMetadata({ orientation: 6 }).jpeg().toBuffer();
    assert.equal(await decodeMemoryBytes(turned, crop), (await decodeMemoryBytes(turned, squash)) + rows);
  });

  it("leaves a crop to the decoder that the first version would enlarge beyond the limit of pixels", async () => {
    const picture = sharp(await drawTexture(0, 2, 1)).resize(3, 900, { fit: "fill" });
    const file = await picture.png().toBuffer();
    const crop = {
      ...recipe,
      decodeVersion: 1,
      fit: "crop",
      kernel: "cubic",
      background: [0, 0, 0],
    } as const;
    const bytesAt = (maxPixels: number) => decodeMemoryBytes(file, { ...crop, maxPixels });
    // 900 · 64 / 3 rows of 64 pixels.
    const pixels = 64 * 19_200;
    assert.equal(await bytesAt(pixels), (await bytesAt(pixels - 1)) + pixels * 3);
    const decode = async (maxPixels: number) =>
      decodeImage(file, { ...crop, background: [0, 0, 0], maxBytes: 1e6, maxPixels });
    assert.deepEqual(await decode(pixels - 1), await decode(pixels));
  });

  it("takes no room for what is not decoded", async () => {
    assert.equal(await decodeMemoryBytes(Buffer.from("no picture"), recipe), 0);
    // Whoever asks a drawing for its size has it drawn: a file of 1 KB, in which each group is the one before twice, for hours.
    const drawing = '<svg xmlns="http://www.w3.org/2000/svg" width="5000" height="5000"></svg>';
    assert.equal(await decodeMemoryBytes(Buffer.from(drawing), recipe), 0);
    const bomb: ImageHeader = {
      ...{ width: 60_000, height: 60_000, format: "png", channels: 3, depth: "uchar" },
      isProgressive: false,
    };
    assert.equal(headerMemoryBytes(bomb, 100_000_000), 0);
    assert.ok(headerMemoryBytes({ ...bomb, isProgressive: true }, 3_600_000_000) > 2 ** 33);
  });
});

describe("a worker's memory", () => {
  before(async () => {
    await sharp({ create: { ...large, channels: 3, background: "teal" } })
      .jpeg({ progressive: true })
      .toFile(file);
  });

  const measure = async (budget: string): Promise<number> => {
    const { stdout } = await run(process.execPath, [script, file, String(pictures), budget], {
      // As workers of a local cluster have it.
      env: { ...process.env, MALLOC_ARENA_MAX: "2" },
    });
    const { decoded, grownMib } = JSON.parse(stdout) as { decoded: number; grownMib: number };
    assert.equal(decoded, pictures);
    return grownMib;
  };

  it(
    "is bounded by the budget, whatever the pictures",
    { skip: !existsSync("/proc/self/status") },
    async () => {
      // One that is larger than the budget is decoded alone.
      const bounded = await measure("48");
      const unbounded = await measure("unbounded");
      assert.ok(bounded < 3 * largeMib, `${bounded.toFixed(0)} MiB with a budget`);
      assert.ok(unbounded > 3.5 * largeMib, `${unbounded.toFixed(0)} MiB without one`);
    },
  );
});
