import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import fc from "fast-check";
import { decodeMemoryBytes, headerMemoryBytes } from "#gpu-worker/image/decode/decode-memory";
import { jpegHeader } from "#gpu-worker/image/decode/jpeg-header";
import sharp, { type Sharp } from "sharp";

const anyPixels = 100_000_000;
const picture = (): Sharp => sharp({ create: { width: 37, height: 21, channels: 3, background: "teal" } });

describe("jpegHeader", () => {
  let plain: Buffer;
  before(async () => {
    plain = await picture().jpeg().toBuffer();
  });

  it("says of plain files what the decoder says", async () => {
    const files = await Promise.all(
      [
        picture().jpeg(),
        picture().jpeg({ progressive: true }),
        picture().jpeg({ chromaSubsampling: "4:4:4", optimiseCoding: false }),
        picture().toColourspace("b-w").jpeg(),
        picture().toColourspace("cmyk").jpeg(),
      ].map((file) => file.toBuffer()),
    );
    for (const file of files) {
      const { width, height, channels, format, depth, isProgressive } = await sharp(file).metadata();
      assert.deepEqual(jpegHeader(file), { width, height, channels, format, depth, isProgressive });
    }
  });

  it("leaves to the decoder what may be turned, and what is no JPEG", async () => {
    const turned = await picture().jpeg().withMetadata({ orientation: 6 }).toBuffer();
    assert.equal(jpegHeader(turned), undefined);
    const header = await sharp(turned).metadata();
    assert.equal(
      await decodeMemoryBytes(turned, { maxPixels: anyPixels, side: 1, fit: "squash" }),
      headerMemoryBytes(header, anyPixels),
    );
    assert.equal(jpegHeader(await picture().png().toBuffer()), undefined);
    assert.equal(jpegHeader(new Uint8Array(0)), undefined);
  });

  it("leaves to the decoder one that is turned by Exif behind its frame", async () => {
    const turned = await picture().jpeg().withMetadata({ orientation: 6 }).toBuffer();
    const segments = segmentsOf(turned);
    const frame = segments.findIndex(({ marker }) => marker === 0xc0);
    const exif = segments.filter(({ marker }) => marker === 0xe1);
    const others = (from: number, to?: number) =>
      segments.slice(from, to).filter(({ marker }) => marker !== 0xe1);
    const moved = Buffer.concat([
      turned.subarray(0, 2),
      ...[...others(0, frame + 1), ...exif, ...others(frame + 1)].map(({ bytes }) => bytes),
    ]);
    assert.equal((await sharp(moved).metadata()).orientation, 6);
    assert.equal(jpegHeader(moved), undefined);
  });

  it("ends on any bytes, with a legal header or none", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 8 }), fc.nat(), (changes, cut) => {
        const bytes = Uint8Array.from(plain.subarray(0, cut % (plain.length + 1)));
        for (const [place, value] of changes) if (bytes.length > 0) bytes[place % bytes.length] = value;
        const header = jpegHeader(bytes);
        assert.ok(header === undefined || (header.width > 0 && header.height > 0));
      }),
    );
  });
});

/** The segments behind the first marker; the last is the first scan and all that follows. */
function segmentsOf(file: Buffer): { readonly marker: number; readonly bytes: Buffer }[] {
  const segments: { readonly marker: number; readonly bytes: Buffer }[] = [];
  for (let at = 2; at < file.length;) {
    const marker = file.readUInt8(at + 1);
    const end = marker === 0xda ? file.length : at + 2 + file.readUInt16BE(at + 2);
    segments.push({ marker, bytes: file.subarray(at, end) });
    at = end;
  }
  return segments;
}
