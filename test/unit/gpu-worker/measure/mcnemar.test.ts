import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { chiSquarePValue, exactPValue, mcnemar } from "#gpu-worker/measure/mcnemar";

interface McNemarGolden {
  readonly b: number;
  readonly c: number;
  readonly exact: number;
  readonly chiSquare: number;
}

const goldenFile = new URL("../../../../golden/measure/figures.json", import.meta.url);
const goldens = (JSON.parse(readFileSync(goldenFile, "utf8")) as { mcnemar: McNemarGolden[] }).mcnemar;

describe("mcnemar", () => {
  it("is scipy's binomial test and chi-square, whichever model comes first", () => {
    assert.ok(goldens.length > 0);
    for (const { b, c, exact, chiSquare } of goldens) {
      if (b + c <= 1000) {
        close(exactPValue(b, c), exact);
        close(exactPValue(c, b), exact);
      }
      close(chiSquarePValue(b, c), chiSquare);
      close(chiSquarePValue(c, b), chiSquare);
    }
  });

  it("is exact up to where chi-square differs from it by less than 0.001", () => {
    assert.equal(mcnemar(400, 599).method, "exact");
    assert.equal(mcnemar(400, 600).method, "chi-square");
    for (let b = 0; b <= 500; b += 1)
      assert.ok(Math.abs(mcnemar(b, 1000 - b).pValue - exactPValue(b, 1000 - b)) < 1e-3, `${b}`);
  });
});

function close(actual: number, expected: number): void {
  assert.ok(Math.abs(actual / expected - 1) < 1e-9, `${actual}, expected ${expected}`);
}
