import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { endsEarly } from "#gpu-worker/image/decode/file-end";
import { decodeMemoryBytes } from "#gpu-worker/image/decode/decode-memory";
import { decodeImage, type ResolvedDecodeRecipe } from "#gpu-worker/image/decode/decode-image";
import { walked } from "../../../support/images/walked.js";
import { pictureTags, type TiffFraming, type TiffPage, writeTiff } from "../../../support/images/tiff.js";

const recipe: ResolvedDecodeRecipe = {
  side: 16,
  fit: "squash",
  kernel: "nearest",
  background: [255, 255, 255],
  maxBytes: 1 << 24,
  maxPixels: 100_000_000,
};
const framings: readonly TiffFraming[] = [
  {},
  { bigEndian: true },
  { bigTiff: true },
  { bigTiff: true, bigEndian: true },
];

const red = [220, 20, 30];
const green = [30, 200, 60];

function solid(colour: readonly number[], side: number, tags: TiffPage["tags"] = {}): TiffPage {
  const strip = Buffer.alloc(side * side * 3, Buffer.from(colour));
  return { tags: { ...pictureTags(side, side, [8, 8, 8], 2), ...tags }, strip };
}

/** Readings of a sensor under a mosaic of colours. */
const sensor: TiffPage = {
  tags: {
    254: [0],
    ...pictureTags(32, 32, [16], 32803),
    33421: [2, 2],
  },
  strip: Buffer.alloc(32 * 32 * 2, 7),
};
const preview = { 254: [1] };

async function outcomeOf(bytes: Uint8Array, decodeVersion?: number): Promise<string | number[]> {
  const decoded = await decodeImage(
    bytes,
    decodeVersion === undefined ? recipe : { ...recipe, decodeVersion },
  );
  return decoded.ok ? [...decoded.pixels.subarray(0, 3)] : `${decoded.reason}: ${decoded.detail}`;
}

describe("a camera's raw file is no TIFF picture", () => {
  const { 33421: _, ...plainTags } = sensor.tags;
  const shown = solid(red, 16, { ...preview, 271: "NIKON CORPORATION" });
  const files: Record<string, readonly TiffPage[]> = {
    "nef: a preview, and the sensor below it": [{ ...shown, below: [sensor] }],
    "dng: of a phone, by its version": [
      { ...solid(red, 16, { ...preview, 271: "Google", 50706: [0x01040000] }), below: [sensor] },
    ],
    "dng: the sensor alone": [{ ...sensor, tags: { ...sensor.tags, 50706: [0x01040000] } }],
    "dng: linear, below the preview": [
      {
        ...solid(red, 16, { ...preview, 50706: [0x01040000] }),
        below: [solid(green, 32, { 262: [34892] })],
      },
    ],
    "raw: linear, without the version": [solid(green, 32, { 262: [34892] })],
    "arw: the sensor below the second page": [
      solid(red, 16, { ...preview, 271: "SONY" }),
      { ...solid(green, 16, preview), below: [sensor] },
    ],
    "pef: the sensor as the first page": [{ ...sensor, tags: { ...sensor.tags, 271: "PENTAX Corporation" } }],
    "raw: the sensor as the second page, of no known make": [
      solid(red, 16, preview),
      { ...sensor, tags: plainTags },
    ],
    "srw: a compression of its own": [
      { ...solid(red, 16, { 271: "SAMSUNG" }), below: [solid(green, 32, { 259: [32770] })] },
    ],
    "3fr: a preview with Exif, and nothing else that can be read": [
      solid(red, 16, { ...preview, 271: "Hasselblad", 34665: [8] }),
    ],
  };
  for (const [name, pages] of Object.entries(files)) {
    it(name, async () => {
      for (const framing of framings) {
        const expected = `unsupported-format: ${name.split(":")[0]}`;
        assert.equal(await outcomeOf(writeTiff(pages, framing)), expected, JSON.stringify(framing));
      }
    });
  }

  it("is told by its signature too", async () => {
    const signed = (signature: string, at: number): Buffer => {
      const file = writeTiff([solid(red, 16)]);
      file.write(signature, at, "latin1");
      return file;
    };
    const files: Record<string, Buffer> = {
      cr2: signed("CR\x02\0", 8),
      iiq: signed("IIII", 8),
      orf: signed("IIRO", 0),
      rw2: signed("IIU\0", 0),
      raf: Buffer.from("FUJIFILMCCD-RAW 0201FF393101", "latin1"),
      x3f: Buffer.from("FOVb\0\0\x02\0", "latin1"),
      mrw: Buffer.from("\0MRM\0\0\0\0", "latin1"),
      crw: Buffer.from("II\x1a\0\0\0HEAPCCDR\x02\0", "latin1"),
      cr3: Buffer.from("\0\0\0\x18ftypcrx \0\0\0\x01crx isom", "latin1"),
    };
    for (const [format, file] of Object.entries(files)) {
      assert.equal(await outcomeOf(file), `unsupported-format: ${format}`);
    }
  });

  it("unless a bundle was trained by the first rule, which saw the preview", async () => {
    assert.deepEqual(await outcomeOf(writeTiff([{ ...shown, below: [sensor] }]), 1), red);
  });
});

describe("a TIFF file of several pages", () => {
  const mask: TiffPage = { tags: { 254: [4], ...pictureTags(16, 16, [8], 4) }, strip: Buffer.alloc(256) };
  const files: Record<string, readonly TiffPage[]> = {
    "a reduced page first": [solid(red, 8, preview), solid(green, 16)],
    "two reduced ones first, from a camera": [
      solid(red, 8, { ...preview, 271: "NIKON" }),
      solid(red, 12, preview),
      solid(green, 16, { 254: [2] }),
    ],
    "a reduced one by the older tag": [solid(red, 8, { 255: [2] }), solid(green, 16, { 255: [1] })],
    "a mask first": [mask, solid(green, 16)],
    "the picture below a reduced page": [{ ...solid(red, 8, preview), below: [solid(green, 16)] }],
    "smaller pages behind the picture": [solid(green, 16), solid(red, 8, preview)],
    "smaller pictures below the picture": [{ ...solid(green, 16), below: [solid(red, 8, preview)] }],
    "two pictures": [solid(green, 16), solid(red, 16)],
    "a reduced page and nothing else": [solid(green, 16, preview)],
    "a camera's own picture": [solid(green, 16, { 271: "Canon", 34665: [8] })],
  };
  for (const [name, pages] of Object.entries(files)) {
    it(name, async () => {
      for (const framing of framings) {
        assert.deepEqual(await outcomeOf(writeTiff(pages, framing)), green, JSON.stringify(framing));
      }
    });
  }

  it("takes the memory of the page that is decoded", async () => {
    const two = writeTiff([solid(red, 8, preview), solid(green, 64)]);
    const one = writeTiff([solid(green, 64)]);
    assert.equal(await decodeMemoryBytes(two, recipe), await decodeMemoryBytes(one, recipe));
    assert.equal(await decodeMemoryBytes(two, { ...recipe, maxPixels: 64 * 64 - 1 }), 0);
  });

  it("was decoded by its first page in the first rule", async () => {
    assert.deepEqual(await outcomeOf(writeTiff([solid(red, 8, preview), solid(green, 16)]), 1), red);
  });

  it("ends where its chain returns to itself", async () => {
    const file = writeTiff([solid(green, 16, preview)]);
    const start = file.readUInt32LE(4);
    file.writeUInt32LE(start, start + 2 + file.readUInt16LE(start) * 12);
    assert.deepEqual(await outcomeOf(file), green);
  });

  it("is truncated where the full page is missing, not where a reduced one is", async () => {
    const cut = writeTiff([solid(green, 16), solid(red, 64, { ...preview, 273: [1 << 20] })]);
    assert.deepEqual(await outcomeOf(cut), green);
    const missing = writeTiff([solid(red, 8, preview), solid(green, 64, { 273: [1 << 20] })]);
    assert.equal(await outcomeOf(missing), "truncated: tiff: a part of its picture is missing");
  });
});

describe("a TIFF file whose directory is not to be believed", () => {
  const picture = (): Buffer =>
    writeTiff([{ ...solid(green, 16), below: [solid(red, 8)] }], { bigTiff: true });

  it("is refused by name if it has countless bands, or none that can be counted", async () => {
    const longs = { 4: [[0xffffffff, 0], 4294967295], 5: [[7, 2], 3.5], 16: [[0, 256], 2 ** 40] } as const;
    for (const [type, [value, bands]] of Object.entries(longs)) {
      const file = rewritten(picture(), 277, Number(type), 1, value);
      assert.equal(await outcomeOf(file), `unsupported-format: tiff: ${bands} bands of colour`);
    }
    const none = rewritten(picture(), 277, 5, 1, [0, 0]);
    assert.equal(await outcomeOf(none), "unsupported-format: tiff: NaN bands of colour");
  });

  it("ends where a list of no known type has countless values", async () => {
    for (const type of [0, 14, 15, 19, 65535]) {
      const file = rewritten(picture(), 273, type, 2 ** 60, [8, 0]);
      assert.equal(walked(endsEarly(file, "tiff")).result, false);
      assert.match(String(await outcomeOf(file)), /^decode-failed: /);
    }
  });

  it("has no directory at a fraction", async () => {
    for (const fraction of [
      [17, 2],
      [0, 0],
      [1, 0],
    ] as const) {
      const file = rewritten(picture(), 330, 5, 1, fraction);
      assert.deepEqual(await outcomeOf(file), green);
      assert.ok((await decodeMemoryBytes(file, recipe)) > 0);
    }
  });
});

/** Rewrites a field of the first directory of a little-endian BigTIFF file. @param value the lower half first */
function rewritten(
  file: Buffer,
  tag: number,
  type: number,
  count: number,
  value: readonly [number, number],
): Buffer {
  const start = Number(file.readBigUInt64LE(8));
  const entries = Array.from({ length: file.readUInt32LE(start) }, (_, i) => start + 8 + i * 20);
  const at = entries.find((entry) => file.readUInt16LE(entry) === tag);
  assert.ok(at !== undefined);
  file.writeUInt16LE(type, at + 2);
  file.writeBigUInt64LE(BigInt(count), at + 4);
  file.writeUInt32LE(value[0], at + 12);
  file.writeUInt32LE(value[1], at + 16);
  return file;
}
