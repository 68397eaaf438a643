import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";

interface Tiers {
  readonly tiers: readonly string[];
  readonly tierOf: (file: string) => string;
}

const root = new URL("../../../../", import.meta.url);
const { tiers, tierOf } = (await import(new URL("infra/setup/test-tiers.mjs", root).href)) as Tiers;

/** The folders of test/ that hold tests; the others hold what tests use. */
const rooms = ["unit", "contract", "golden", "integration", "model", "e2e", "full"];

const files = readdirSync(fileURLToPath(new URL("test/", root)), { recursive: true, encoding: "utf8" })
  .map((file) => file.replaceAll("\\", "/"))
  .filter((file) => file.endsWith(".test.ts"));

describe("the tiers of tests", () => {
  it("divide all test files by their folder, and neither tier is empty", () => {
    assert.deepEqual(tiers, ["quick", "rest"]);
    for (const file of files) {
      const expected = file.split("/")[0] === "full" ? "rest" : "quick";
      assert.equal(tierOf(file), expected, file);
    }
    assert.deepEqual([...new Set(files.map(tierOf))].sort(), ["quick", "rest"]);
  });

  it("find every test in a folder for tests", () => {
    const elsewhere = files.filter((file) => !rooms.includes(file.split("/")[0] ?? ""));
    assert.deepEqual(elsewhere, []);
  });
});
