import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { worstMistakes } from "#gpu-worker/measure/worst-mistakes";

describe("the worst mistakes", () => {
  it("are the wrong rows by falling probability, the earlier row on a tie", () => {
    const hits = Uint8Array.of(0, 1, 0, 0, 0);
    const confidences = Float64Array.of(0.5, 0.99, 0.9, 0.9, 0.7);
    assert.deepEqual(worstMistakes({ hits, confidences }, 3), [2, 3, 4]);
    assert.deepEqual(worstMistakes({ hits, confidences }), [2, 3, 4, 0]);
  });

  it("are those of sorting all, of however many rows", () => {
    const rows = Array.from({ length: 3000 }, (_, row) => row);
    const confidences = Float64Array.from(rows, (row) => ((row * 7919) % 1009) / 1009);
    const hits = Uint8Array.from(rows, (row) => (row % 3 === 0 ? 1 : 0));
    const sorted = rows
      .filter((row) => hits[row] === 0)
      .sort((a, b) => (confidences[b] ?? 0) - (confidences[a] ?? 0) || a - b);
    assert.deepEqual(worstMistakes({ hits, confidences }, 5), sorted.slice(0, 5));
  });
});
