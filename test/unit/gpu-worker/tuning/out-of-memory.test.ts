import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { explainMemory } from "#gpu-worker/tuning/engine/compiled-tuner";

describe("a step for which memory runs out", () => {
  it("says what to lower, in the words of runtime and devices, and may be tried elsewhere", () => {
    for (const text of [
      "std::bad_alloc",
      "Failed to allocate memory for requested buffer of size 4294967296",
      "CUDA failure 2: out of memory ; GPU=0",
      "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED",
    ]) {
      const error = explainMemory(new Error(text), { batchSize: 512 }) as Error & { code: string };
      assert.deepEqual([error.code, (error as { retryable?: boolean }).retryable], ["exhausted", true]);
      assert.match(error.message, /on 512 images: memory ran out \(.*\)\. Lower tune\.batchSize/);
    }
  });

  it("leaves every other error as it is", () => {
    const other = new Error("Got invalid dimensions for input: pixels");
    assert.equal(explainMemory(other, { batchSize: 8 }), other);
  });
});
