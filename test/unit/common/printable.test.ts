import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { printable } from "#common/printable";
import fc from "fast-check";
import { runInProcess } from "../../support/process/cli.js";
import { temporaryFolder } from "../../support/files/temp-folder.js";

/** What a terminal acts on instead of showing it. */
const acting = /[\p{Cc}\u2028\u2029\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]/u;

describe("printable text", () => {
  it("shows what would move the cursor, clear the screen, turn the line round or end it", () => {
    assert.equal(printable("a\x1b[2J\x9b1m\r\n\tb"), "a\\u001b[2J\\u009b1m\\r\\n\\tb");
    assert.equal(printable("jpg.\u202eexe\u2028\x7f\ud800"), "jpg.\\u202eexe\\u2028\\u007f\\ud800");
    assert.equal(printable("one\n\ttwo\x1b", { lines: true }), "one\n\ttwo\\u001b");
  });

  it("leaves every name alone that a terminal shows", () => {
    const name = "可回收物/易拉罐 é👩‍👩‍👧 a+b%20#?&'\"\\.jpg";
    assert.equal(printable(name), name);
  });

  it("acts on nothing, and stays the JSON that it was", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        assert.doesNotMatch(printable(text), acting);
        const json = JSON.stringify({ key: text });
        assert.deepEqual(JSON.parse(printable(json)), JSON.parse(json));
      }),
      { seed: 20261122, numRuns: 2000 },
    );
  });

  it("is all that a command prints of what it was given", async () => {
    const store = await temporaryFolder("printable");
    for (const json of [[], ["--json"]]) {
      const { stdout, stderr } = await runInProcess([
        "status",
        "x\x1b[2J\x9b\u202e",
        "--store",
        store,
        ...json,
      ]);
      assert.match(stderr, /x\\u001b\[2J\\u009b\\u202e/);
      for (const line of `${stdout}${stderr}`.split("\n")) assert.doesNotMatch(line, acting);
    }
  });
});
