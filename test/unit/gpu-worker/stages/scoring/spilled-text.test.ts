import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdir, readdir } from "node:fs/promises";
import { after, before, describe, it } from "node:test";
import { openStore } from "@trommel/common";
import { inPieces } from "#common/store/s3/s3-multipart";
import { SpilledText } from "#gpu-worker/stages/scoring/spilled-text";
import fc from "fast-check";
import { join } from "node:path";
import { asStream } from "../../../../support/files/as-stream.js";
import { temporaryFolder } from "../../../../support/files/temp-folder.js";

const folder = await temporaryFolder("spilled");
const temporary = join(folder, "tmp");
const former = process.env["TMPDIR"];
before(async () => {
  await mkdir(temporary);
  process.env["TMPDIR"] = temporary;
});
after(() => {
  if (former === undefined) delete process.env["TMPDIR"];
  else process.env["TMPDIR"] = former;
});

async function whole(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all);
}

describe("a spilled text", () => {
  it("gives back what was written, as often as it is asked, and leaves no file", async () => {
    const spilled = new SpilledText();
    const lines = Array.from({ length: 3000 }, (_, i) => `${"ä中😀".repeat(i % 400)}${i}\n`);
    for (const line of lines) await spilled.write(line);
    const expected = Buffer.from(lines.join(""), "utf8");
    assert.ok(expected.length > 3 << 20, "a part of it is in the file");
    assert.equal(spilled.sizeBytes, expected.length);
    assert.ok(expected.equals(await whole(spilled.chunks())));
    assert.ok(expected.equals(await whole(spilled.chunks())));
    assert.deepEqual(await readdir(temporary), [], "its file has no name");
    await spilled.close();
  });

  it("is empty where nothing was written", async () => {
    const spilled = new SpilledText();
    await spilled.write("");
    assert.equal((await whole(spilled.chunks())).length, 0);
    await spilled.close();
  });

  it("holds little of a large text in memory on its way into a store", async () => {
    const spilled = new SpilledText();
    const store = openStore(join(folder, "store"));
    const hash = createHash("sha256");
    const before = process.memoryUsage().rss;
    let peak = 0;
    for (let i = 0; i < 96; i += 1) {
      const text = String.fromCharCode(97 + (i % 26)).repeat(1 << 20);
      hash.update(text);
      await spilled.write(text);
      peak = Math.max(peak, process.memoryUsage().rss - before);
    }
    const watched = async function* () {
      for await (const chunk of spilled.chunks()) {
        peak = Math.max(peak, process.memoryUsage().rss - before);
        yield chunk;
      }
    };
    await store.putStream("errors.jsonl", watched());
    await spilled.close();
    assert.ok(peak < 64 << 20, `${peak} bytes for 96 MiB`);
    assert.equal(
      createHash("sha256")
        .update(await store.get("errors.jsonl"))
        .digest("hex"),
      hash.digest("hex"),
    );
  });
});

describe("pieces of a stream", () => {
  it("are of one size but for the last, and together the stream", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 12 }),
        fc.integer({ min: 1, max: 17 }),
        async (chunks, size) => {
          const pieces: Buffer[] = [];
          for await (const piece of inPieces(asStream(chunks), size)) pieces.push(Buffer.from(piece));
          assert.ok(Buffer.concat(chunks).equals(Buffer.concat(pieces)));
          for (const [i, piece] of pieces.entries())
            assert.ok(piece.length === size || (i === pieces.length - 1 && piece.length > 0));
        },
      ),
    );
  });
});
