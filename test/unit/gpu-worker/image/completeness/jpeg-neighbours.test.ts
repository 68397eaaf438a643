import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { type ResolvedDecodeRecipe, decodeImage } from "#gpu-worker/image/decode/decode-image";
import { z } from "zod";

const kinds = z
  .array(z.object({ name: z.string(), file: z.base64() }))
  .parse(
    JSON.parse(
      readFileSync(new URL("../../../../../golden/jpeg-kinds.json", import.meta.url), "utf8"),
    ) as unknown,
  );
const grey = Buffer.from(kinds.find(({ name }) => name === "grey")?.file ?? "", "base64");

const recipe: ResolvedDecodeRecipe = {
  side: 16,
  fit: "squash",
  kernel: "lanczos3",
  background: [255, 255, 255],
  maxBytes: 1 << 20,
  maxPixels: 1_000_000,
};

/** `cjpeg -arithmetic -grayscale -quality 40` of 16 × 16 pixels, (13x + 7y + xy mod 11) mod 256. */
const arithmetic = Buffer.from(
  "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABQODxIPDRQSEBIXFRQYHjIhHhwcHj0sLiQySUBMS0dARkVQWnNiUFVtVkVGZIhlbXd7gYKBTmCNl4x9lnN+gXz/yQALCAAQABABAREA/8wABgAQEAX/2gAIAQEAAD8A/u4BjR6Qcwzbm2WOmemTYi8rC5Is7nS3vllwMVbHIGrgpAZnMZ+46IflgP/Z",
  "base64",
);

async function outcome(file: Uint8Array): Promise<Buffer | string> {
  const decoded = await decodeImage(file, recipe);
  return decoded.ok ? Buffer.from(decoded.pixels) : decoded.reason;
}

describe("decodeImage: a JPEG's outcome is that of its bytes, whatever libjpeg says of others at the same time", () => {
  it("a table that no scan uses may be overfull, beside files that warn", async () => {
    const file = grey;
    const frame = file.indexOf(Buffer.from([0xff, 0xc0]));
    // Three codes of one bit, as table 3.
    const counts = [3, ...Array.from({ length: 15 }, () => 0)];
    const table = Buffer.from([0xff, 0xc4, 0, 22, 0x13, ...counts, 1, 2, 3]);
    const odd = Buffer.concat([file.subarray(0, frame), table, file.subarray(frame)]);
    assert.deepEqual(await outcome(odd), await outcome(file));
    assert.deepEqual(
      await outcome(odd.subarray(0, -2)),
      await outcome(file),
      "and no end, of which libjpeg warns",
    );
  });

  it("arithmetic codes: an end marker decides, whoever else warns", async () => {
    const cut = grey.subarray(0, -60);
    const beside = async (file: Buffer) => {
      const rounds = await Promise.all(
        Array.from({ length: 12 }, async () => (await Promise.all([outcome(file), outcome(cut)]))[0]),
      );
      for (const each of rounds) assert.deepEqual(each, rounds[0]);
      return rounds[0];
    };
    const whole = await outcome(arithmetic);
    assert.ok(typeof whole !== "string", whole as string);
    assert.deepEqual(await beside(arithmetic), whole);
    const bare = arithmetic.subarray(0, -2);
    for (const tail of [Buffer.alloc(0), Buffer.alloc(40), grey]) {
      const file = Buffer.concat([bare, tail]);
      assert.equal(await outcome(file), "truncated");
      assert.equal(await beside(file), "truncated");
    }
  });
});
