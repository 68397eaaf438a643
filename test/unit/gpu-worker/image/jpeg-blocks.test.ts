import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { type ResolvedDecodeRecipe, decodeImage } from "#gpu-worker/image/decode/decode-image";
import sharp from "sharp";
import { z } from "zod";

/** What libjpeg-turbo's own programs say about each kind (jpeg-kinds.py). */
const kinds = z
  .array(z.object({ name: z.string(), file: z.base64(), wholeFrom: z.int() }))
  .parse(
    JSON.parse(
      readFileSync(new URL("../../../../golden/jpeg-kinds.json", import.meta.url), "utf8"),
    ) as unknown,
  )
  .map(({ name, file, wholeFrom }) => ({ name, wholeFrom, file: Buffer.from(file, "base64") }));

const recipe: ResolvedDecodeRecipe = {
  side: 16,
  fit: "squash",
  kernel: "lanczos3",
  background: [255, 255, 255],
  maxBytes: 1 << 20,
  maxPixels: 1_000_000,
};

const end = Buffer.from([0xff, 0xd9]);
const other = kindNamed("grey");

function kindNamed(name: string): Buffer {
  const kind = kinds.find((each) => each.name === name);
  assert.ok(kind !== undefined);
  return kind.file;
}

async function outcome(file: Uint8Array): Promise<Buffer | string> {
  const decoded = await decodeImage(file, recipe);
  return decoded.ok ? Buffer.from(decoded.pixels) : decoded.reason;
}

const startOfScan = Buffer.from([0xff, 0xda]);

/** The next marker that ends a scan without restarts. */
function dataEnd(file: Buffer, from: number): number {
  let at = file.indexOf(0xff, from);
  while (file[at + 1] === 0) at = file.indexOf(0xff, at + 2);
  return at;
}

/** Where the data of the first scan begin. */
function firstData(file: Buffer): number {
  const at = file.indexOf(startOfScan);
  return at + 2 + file.readUInt16BE(at + 2);
}

/** The restart markers of a file's only scan. */
function restarts(file: Buffer): number[] {
  const found: number[] = [];
  for (let at = firstData(file); at < file.length; at += 1) {
    const next = file[at + 1] ?? 0;
    if (file[at] === 0xff && next >= 0xd0 && next <= 0xd7) found.push(at);
  }
  return found;
}

describe("decodeImage: a JPEG is truncated if blocks are missing, whatever follows", () => {
  for (const { name, file, wholeFrom } of kinds) {
    it(`${name}, cut anywhere`, async () => {
      const whole = await outcome(file);
      assert.ok(typeof whole !== "string", String(whole));
      const tails = {
        ...{ nothing: Buffer.alloc(0), "an end": end, "a picture": other },
        ...{ zeros: Buffer.alloc(40), "many zeros": Buffer.alloc(4000) },
      };
      const ends = Array.from({ length: 8 }, (_, i) => file.length - i);
      const data = firstData(file);
      const middle = Array.from({ length: 6 }, (_, i) => data + Math.floor(((wholeFrom - data) * i) / 6));
      for (const length of [...middle, ...ends]) {
        for (const [tail, bytes] of Object.entries(tails)) {
          const result = await outcome(Buffer.concat([file.subarray(0, length), bytes]));
          // Zeros may be codes: those of the last blocks cannot be told from the true ones.
          if (tail.endsWith("zeros") && length < wholeFrom && length > wholeFrom - 24) continue;
          assert.deepEqual(
            result,
            length >= wholeFrom ? whole : "truncated",
            `${length} bytes, then ${tail}`,
          );
        }
      }
    });
  }

  it("restart intervals that are lost, doubled, or numbered otherwise", async () => {
    const file = kindNamed("restart intervals");
    const at = restarts(file);
    assert.ok(at.length > 10);
    const part = (from: number, to?: number) =>
      file.subarray(at[from], to === undefined ? undefined : at[to]);
    const start = file.subarray(0, at[2]);
    assert.equal(await outcome(Buffer.concat([start, part(3)])), "truncated", "one lost");
    assert.equal(await outcome(Buffer.concat([start, part(5)])), "truncated", "three lost");
    assert.equal(await outcome(Buffer.concat([start, part(10)])), "truncated", "eight lost, the numbers fit");
    assert.equal(
      await outcome(Buffer.concat([file.subarray(0, at[9]), end])),
      "truncated",
      "the last ones lost",
    );
    const marker = file.subarray(at[2], (at[2] ?? 0) + 2);
    assert.equal(await outcome(Buffer.concat([start, marker, part(2)])), "truncated", "a marker twice");
    const skipped = Buffer.from(file);
    skipped[(at[2] ?? 0) + 1] = 0xd3;
    assert.equal(await outcome(skipped), "truncated", "a number too high: libjpeg leaves an interval out");
    skipped[(at[2] ?? 0) + 1] = 0xd6;
    assert.deepEqual(await outcome(skipped), await outcome(file), "a number far off: libjpeg reads on");
  });

  it("markers inside a scan", async () => {
    const file = kindNamed("baseline 4:2:0");
    const at = firstData(file) + 300;
    for (const code of [0xc0, 0xd3, 0xd8, 0xe1, 0xfe]) {
      const junk = Buffer.concat([
        file.subarray(0, at),
        Buffer.from([0xff, code, 0, 4, 9, 9]),
        file.subarray(at),
      ]);
      assert.equal(await outcome(junk), "truncated", code.toString(16));
    }
  });

  it("scans that are missing", async () => {
    for (const name of ["progressive", "one scan a component"]) {
      const file = kindNamed(name);
      // Each begins with its tables, where the data of the one before end.
      const scans = [file.indexOf(startOfScan)];
      for (let at = file.indexOf(startOfScan); at >= 0; at = file.indexOf(startOfScan, at + 2)) {
        scans.push(dataEnd(file, at + 2 + file.readUInt16BE(at + 2)));
      }
      assert.ok(scans.length > 3);
      for (const [i, scan] of scans.slice(0, -1).entries()) {
        const without = Buffer.concat([file.subarray(0, scan), file.subarray(scans[i + 1])]);
        assert.equal(await outcome(without), "truncated", `${name} without its scan ${i}`);
        const cut = Buffer.concat([file.subarray(0, scan), end]);
        assert.equal(await outcome(cut), "truncated", `${name} up to its scan ${i}`);
      }
    }
  });

  it("a frame that is higher than its scan, or has no height", async () => {
    const file = Buffer.from(kindNamed("baseline 4:2:0"));
    const frame = file.indexOf(Buffer.from([0xff, 0xc0]));
    file.writeUInt16BE(200, frame + 5);
    assert.equal(await outcome(file), "truncated");
    file.writeUInt16BE(0, frame + 5);
    assert.equal(await outcome(file), "decode-failed");
  });

  it("a picture that starts twice, and codes that are in no table", async () => {
    const file = kindNamed("baseline 4:2:0");
    assert.equal(await outcome(Buffer.concat([file.subarray(0, 2), file])), "decode-failed");
    const broken = Buffer.from(kindNamed("baseline 4:4:4, optimised tables"));
    const at = firstData(broken) + 100;
    // Sixteen ones begin no code (ITU-T T.81, C.2), and 0xFF in the data has a zero behind it.
    broken.set([0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0], at);
    assert.equal(await outcome(broken), "decode-failed");
  });
});

describe("decodeImage: a whole JPEG stays as it is", () => {
  for (const name of ["baseline 4:2:0", "progressive", "restart intervals"]) {
    it(`${name}: odd bytes around the scans change no pixel`, async () => {
      const file = kindNamed(name);
      const whole = await outcome(file);
      const samsung = Buffer.from("\0\0\x01\x0a\x0e\0\0\0Image_UTC_Data1700000000000SEFHk\0\0\0", "latin1");
      const junk = Buffer.from([0xff, 0xb0, 3, 0xff, 0xc0, 0, 200]);
      const frame = file.indexOf(Buffer.from([0xff, name === "progressive" ? 0xc2 : 0xc0]));
      const around = (bytes: readonly number[]) =>
        Buffer.concat([file.subarray(0, frame), Buffer.from(bytes), file.subarray(frame)]);
      const odd = {
        "zeros behind it": Buffer.concat([file, Buffer.alloc(64)]),
        "a phone's trailer": Buffer.concat([file, samsung]),
        "a film": Buffer.concat([file, Buffer.from("\0\0\0\x18ftypmp42\0\0\0\0isommp42", "latin1")]),
        "another picture": Buffer.concat([file, other]),
        "half a picture": Buffer.concat([file, other.subarray(0, 300)]),
        "no end": file.subarray(0, -2),
        "half an end": file.subarray(0, -1),
        "no end, and a phone's trailer": Buffer.concat([file.subarray(0, -2), samsung]),
        "no end, and what looks like markers": Buffer.concat([file.subarray(0, -2), junk]),
        "no end, and another picture": Buffer.concat([file.subarray(0, -2), other]),
        "bytes between markers": around([1, 2, 3]),
        "fill bytes before a marker": around([0xff, 0xff, 0xff]),
        "fill bytes before the end": Buffer.concat([file.subarray(0, -2), Buffer.from([0xff, 0xff]), end]),
        "bytes before the end": Buffer.concat([file.subarray(0, -2), Buffer.from([7, 7, 7]), end]),
        "a thumbnail in front": around([
          0xff,
          0xe1,
          (other.length + 2) >> 8,
          (other.length + 2) & 255,
          ...other,
        ]),
      };
      for (const [what, bytes] of Object.entries(odd)) assert.deepEqual(await outcome(bytes), whole, what);
    });
  }

  it("without tables of its own, as in a Motion JPEG", async () => {
    const file = kindNamed("baseline 4:2:0");
    const from = file.indexOf(Buffer.from([0xff, 0xc4]));
    const to = file.indexOf(Buffer.from([0xff, 0xda]));
    const bare = Buffer.concat([file.subarray(0, from), file.subarray(to)]);
    assert.deepEqual(await outcome(bare), await outcome(file));
    assert.deepEqual(await outcome(bare.subarray(0, -2)), await outcome(file), "and without its end");
    assert.equal(await outcome(Buffer.concat([bare.subarray(0, -60), end])), "truncated");
  });
});

describe("decodeImage: many at once", () => {
  it("each file keeps its own outcome, though the decoder's warnings come in one queue", async () => {
    const file = kindNamed("baseline 4:2:0");
    const files = {
      whole: file,
      "cut in its last row": Buffer.concat([file.subarray(0, -6), end]),
      "without an end": file.subarray(0, -2),
      "without a scan": Buffer.concat([kindNamed("progressive").subarray(0, 600), end]),
      grey: other,
    };
    const alone = new Map<string, Buffer | string>();
    for (const [name, bytes] of Object.entries(files)) alone.set(name, await outcome(bytes));
    assert.equal(alone.get("cut in its last row"), "truncated");
    const rounds = Array.from({ length: 12 }, () => Object.entries(files)).flat();
    const together = await Promise.all(
      rounds.map(async ([name, bytes]) => {
        const [result] = await Promise.all([outcome(bytes), sharp(bytes).metadata()]);
        return { name, result };
      }),
    );
    for (const { name, result } of together) assert.deepEqual(result, alone.get(name), name);
  });
});
