import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { decodeImage } from "#gpu-worker/image/decode/decode-image";
import { wholeGif } from "#gpu-worker/image/decode/completeness/gif-pixels";
import { lacksScans, walkJpeg } from "#gpu-worker/image/decode/completeness/jpeg-state";
import { PictureFault } from "#gpu-worker/image/decode/completeness/picture-fault";
import { longerWebp, wholeWebp } from "#gpu-worker/image/decode/completeness/webp-chunks";
import { endsEarly } from "#gpu-worker/image/decode/file-end";
import { imageFormat, type DecodableFormat } from "#gpu-worker/image/decode/image-format";
import { recipe } from "@trommel/common";
import fc from "fast-check";
import sharp from "sharp";
import { walked } from "../../support/images/walked.js";
import { fuzzSeed, hostileBytes, parsesOrRefuses } from "../../support/files/hostile-bytes.js";

const formats: readonly DecodableFormat[] = ["jpeg", "png", "webp", "gif", "tiff", "avif"];
const pictures = new Map<DecodableFormat, Uint8Array>();

before(async () => {
  const picture = sharp({ create: { width: 16, height: 8, channels: 3, background: "#369" } });
  // With EXIF, so that the header holds lengths and offsets to bend.
  for (const format of formats) {
    const exif = { IFD0: { Copyright: "none", Orientation: "6" } };
    pictures.set(format, await picture.clone().withExif(exif).toFormat(format).toBuffer());
  }
});

describe("picture headers under fuzz", () => {
  it("tell a format and an end, whatever the bytes", () => {
    for (const format of formats) {
      fc.assert(
        fc.property(hostileBytes(pictures.get(format) ?? ""), (bytes) => {
          const found = parsesOrRefuses(() => imageFormat(bytes));
          assert.ok(found !== undefined);
          for (const each of ["tiff", "avif"] as const)
            assert.equal(typeof parsesOrRefuses(() => walked(endsEarly(bytes, each)).result), "boolean");
        }),
        { seed: fuzzSeed, numRuns: 400 },
      );
    }
  });

  it("tell a picture that cannot be whole, whatever the bytes", () => {
    const readers = {
      jpeg: [(bytes: Buffer) => [...lacksScans(bytes, 1e6)], (bytes: Buffer) => [...walkJpeg(bytes, 1e6)]],
      gif: [wholeGif],
      webp: [(bytes: Buffer) => longerWebp(wholeWebp(bytes))],
    };
    for (const [format, reads] of Object.entries(readers)) {
      fc.assert(
        fc.property(hostileBytes(pictures.get(format as DecodableFormat) ?? ""), (bytes) => {
          for (const read of reads) {
            try {
              read(Buffer.from(bytes));
            } catch (thrown) {
              if (!(thrown instanceof PictureFault)) throw thrown;
            }
          }
        }),
        { seed: fuzzSeed, numRuns: 400 },
      );
    }
  });

  it("are no work without end: a directory that names one long list over and over", () => {
    const entries = 65_000;
    const count = 250_000;
    const file = Buffer.alloc(8 + 2 + entries * 12 + count * 4);
    file.write("II*\0", "latin1");
    file.writeUInt32LE(8, 4);
    file.writeUInt16LE(entries, 8);
    for (let i = 0; i < entries; i += 1) {
      const at = 10 + i * 12;
      file.writeUInt16LE(273, at);
      file.writeUInt16LE(4, at + 2);
      file.writeUInt32LE(count, at + 4);
      file.writeUInt32LE(10 + entries * 12, at + 8);
    }
    assert.equal(
      parsesOrRefuses(() => walked(endsEarly(file, "tiff")).result),
      false,
    );
  });

  it("give a picture or a typed reason when they are decoded", async () => {
    const { decode } = recipe.parse({ backbones: ["any"] });
    const all = [...pictures.values()];
    await fc.assert(
      fc.asyncProperty(hostileBytes(...all), async (bytes) => {
        const decoded = await decodeImage(bytes, { ...decode, side: 8 });
        if (decoded.ok) assert.equal(decoded.pixels.length, 8 * 8 * 3);
        else assert.notEqual(decoded.reason, undefined);
      }),
      { seed: fuzzSeed, numRuns: 300 },
    );
  });
});
