import assert from "node:assert/strict";
import { it } from "node:test";
import { utf8Only } from "#coordinator/sources/manifest/utf8-only";
import { asStream } from "../../../support/files/as-stream.js";

const good = Buffer.from("a,é\nü😀b\n中文,x\n😀\n");
const cut = Buffer.from([0xe4, 0xb8]);

/** The bytes that come through, in chunks of a size. */
async function through(bytes: Buffer, size: number): Promise<Buffer> {
  const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, at) =>
    bytes.subarray(at * size, (at + 1) * size),
  );
  const passed: Uint8Array[] = [];
  for await (const chunk of utf8Only("list.csv", asStream(chunks), 1)) passed.push(chunk);
  return Buffer.concat(passed);
}

it("lets UTF-8 through and names the line of what is not, however the bytes are cut into chunks", async () => {
  const bad: readonly (readonly [Buffer, line: number])[] = [
    [Buffer.from("\u00fc\n", "latin1"), 1],
    [Buffer.from("a\nb\u00e9\nc", "latin1"), 2],
    [Buffer.from("x\ny\nK\u00fcche\nz", "latin1"), 3],
    [Buffer.concat([good, cut]), 5],
    [Buffer.concat([good, cut, Buffer.from("\nA")]), 5],
  ];
  for (const size of [1, 2, 3, 4, 5, 7, 100]) {
    assert.deepEqual(await through(good, size), good);
    for (const [bytes, line] of bad)
      await assert.rejects(through(bytes, size), {
        message: `cannot read list.csv, line ${line}: it is not UTF-8. Save the table as UTF-8`,
      });
  }
});
