import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, it } from "node:test";
import { TrommelError } from "@trommel/common";
import { openKerasH5 } from "#gpu-worker/backbone/weights/keras-h5";
import fc from "fast-check";
import { fuzzSeed, hostileBytes } from "../../support/files/hostile-bytes.js";

/** Keras's HDF5 files with something wrong: HDF5 is a C library, which reads them on a thread of its own. */

const names = ["keras2-weights", "whole-model", "chunked-attributes", "virtual", "external-link", "huge"];
const files = await Promise.all(
  names.map((name) => readFile(new URL(`../../../golden/h5/${name}.h5`, import.meta.url))),
);
const signature = Buffer.from("\x89HDF\r\n\x1a\n", "latin1");

/** For listing and for reading, each. HDF5 runs in circles over some damaged files, which this ends. */
const timeoutMs = 3000;
const valuesAtMost = 1 << 22;
/** Of the whole process, the threads' WebAssembly memories included; some are not given back at once. */
const grownAtMostBytes = 256 * 1024 * 1024;

/** @returns how many values were read, where they were */
async function readAll(bytes: Uint8Array): Promise<number> {
  // The signature is what makes it an HDF5 file at all.
  const file = await openKerasH5(Buffer.concat([signature, bytes.subarray(8)]), "hostile.h5", { timeoutMs });
  try {
    const values = await file.read(file.weights);
    return values.reduce((sum, { length }) => sum + length, 0);
  } finally {
    await file.close();
  }
}

describe("a hostile HDF5 file", () => {
  it("is read or refused with a typed error, in bounded time and memory, and never ends the process", async () => {
    const before = process.memoryUsage().rss;
    let refused = 0;
    await fc.assert(
      fc.asyncProperty(hostileBytes(...files), async (bytes) => {
        try {
          const count = await readAll(bytes);
          assert.ok(count <= valuesAtMost, `${count} values of ${bytes.length} bytes`);
        } catch (thrown) {
          assert.ok(thrown instanceof TrommelError, String(thrown));
          assert.ok(["corrupt", "unsupported", "too-large"].includes(thrown.code), thrown.message);
          assert.ok(thrown.message.includes("hostile.h5"), thrown.message);
          refused += 1;
        }
        const grownBytes = process.memoryUsage().rss - before;
        assert.ok(grownBytes < grownAtMostBytes, `the process grew by ${grownBytes} bytes`);
      }),
      { numRuns: 30, seed: fuzzSeed },
    );
    assert.ok(refused > 10, `${refused} were refused`);
  });
});
