import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { decodeImage, type ResolvedDecodeRecipe } from "#gpu-worker/image/decode/decode-image";
import { endsEarly } from "#gpu-worker/image/decode/file-end";
import { pictureTags, type TiffPage, writeTiff } from "../../../../support/images/tiff.js";
import { walked } from "../../../../support/images/walked.js";

const side = 16;
const recipe: ResolvedDecodeRecipe = {
  side,
  fit: "squash",
  kernel: "nearest",
  background: [255, 255, 255],
  maxBytes: 1 << 25,
  maxPixels: 1_000_000,
};

async function outcomeOf(file: Uint8Array): Promise<string | Buffer> {
  const decoded = await decodeImage(file, recipe);
  return decoded.ok ? Buffer.from(decoded.pixels) : `${decoded.reason}: ${decoded.detail}`;
}

const cut = "truncated: tiff: a part of its picture is missing";
const privateTag = 65_000;
const spareTag = 64_000;

const grey = Float32Array.from({ length: side * side }, (_, i) => i / (side * side));
const levels = Buffer.from([...grey].flatMap((value) => Array<number>(3).fill(Math.round(value * 255))));
const floats: TiffPage = {
  tags: { ...pictureTags(side, side, [32], 1), 339: [3] },
  strip: new Uint8Array(grey.buffer),
};

/** The page as a file in which an entry of that tag points outside. @param place whether the tag has another entry, inside the file */
function dangling(page: TiffPage, tag: number, place: "only" | "first" | "second" = "only"): Buffer {
  const file = writeTiff([{ ...page, tags: { [tag]: [1], [spareTag]: [0], ...page.tags } }]);
  const own = entryOf(file, tag);
  const spare = entryOf(file, spareTag);
  if (place !== "only") file.copy(file, spare, own, own + 12);
  const at = place === "second" ? spare : own;
  // More values than there is room for inside the entry.
  file.writeUInt32LE(9, at + 4);
  file.writeUInt32LE(file.length - 1, at + 8);
  return file;
}

function entryOf(file: Buffer, tag: number): number {
  const start = file.readUInt32LE(4);
  const entries = Array.from({ length: file.readUInt16LE(start) }, (_, i) => start + 2 + i * 12);
  const found = entries.find((at) => file.readUInt16LE(at) === tag);
  assert.ok(found !== undefined);
  return found;
}

describe("values of a TIFF tag outside the file", () => {
  // libtiff decodes a file without any of these.
  for (const tag of [254, 255, 271, 274, 330, 529, 530, 532, 34_665, privateTag]) {
    it(`leave the sample rules on: ${tag}`, async () =>
      assert.deepEqual(await outcomeOf(dangling(floats, tag)), levels));
  }

  // libtiff refuses a file without any of these.
  for (const tag of [256, 257, 258, 259, 262, 273, 277, 279, 281, 324, 325, 338, 339]) {
    it(`are a cut where a picture needs them: ${tag}`, async () =>
      assert.equal(await outcomeOf(dangling(floats, tag)), cut));
  }

  it("count by the first entry of a tag, as for libtiff", async () => {
    assert.equal(await outcomeOf(dangling(floats, 339, "first")), cut);
    assert.deepEqual(await outcomeOf(dangling(floats, 339, "second")), levels);
  });

  it("are not the usual coefficients of YCbCr", async () => {
    const strip = Buffer.alloc(side * side * 3, 128);
    const page = { tags: { ...pictureTags(side, side, [8, 8, 8], 6), 530: [1, 1] }, strip };
    assert.deepEqual(await outcomeOf(writeTiff([page])), strip);
    for (const tag of [529, 532])
      assert.match(String(await outcomeOf(dangling(page, tag))), /^unsupported-format: tiff: YCbCr/);
  });

  it("are not the colours of a palette", async () => {
    const colours = Array.from({ length: 3 * 256 }, (_, i) => (i % 256) * 257);
    const tags = { ...pictureTags(side, side, [8], 3), 320: colours };
    const page = { tags, strip: Buffer.alloc(side * side, 200) };
    assert.deepEqual(await outcomeOf(writeTiff([page])), Buffer.alloc(side * side * 3, 200));
    const refused = "unsupported-format: tiff: a palette without colours";
    assert.equal(await outcomeOf(dangling(page, 320)), refused);
    assert.equal(await outcomeOf(dangling({ ...page, tags: { ...tags, 279: [1 << 20] } }, 320)), cut);
  });

  it("leave a picture of unknown samples unsupported if it is whole, and truncated if it is cut", async () => {
    const doubles = { ...pictureTags(side, side, [64], 1), 339: [3] };
    const strip = Buffer.alloc(side * side * 8);
    const refused = "unsupported-format: tiff: 64-bit floating-point numbers";
    assert.equal(await outcomeOf(dangling({ tags: doubles, strip }, privateTag)), refused);
    assert.equal(await outcomeOf(dangling({ tags: { ...doubles, 279: [1 << 20] }, strip }, privateTag)), cut);
  });
});

describe("a TIFF file of countless strips", () => {
  const strips = 1 << 20;
  const file = writeTiff([{ ...floats, tags: { ...floats.tags, 273: Array<number>(strips).fill(8) } }]);

  it("is looked at with pauses", () => {
    const { result, pauses } = walked(endsEarly(file, "tiff"));
    assert.equal(result, false);
    assert.ok(pauses >= 32, `${pauses}`);
  });

  it("is cut if it names more strips than the file has bytes, without a look at them", () => {
    const at = entryOf(file, 273);
    for (const count of [file.length + 1, 0xffffffff]) {
      const hostile = Buffer.from(file);
      hostile.writeUInt16LE(1, at + 2);
      hostile.writeUInt32LE(count, at + 4);
      assert.deepEqual(walked(endsEarly(hostile, "tiff")), { result: true, pauses: 0 });
    }
  });
});
