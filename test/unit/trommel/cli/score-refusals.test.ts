import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { it } from "node:test";
import { temporaryFolder } from "../../../support/files/temp-folder.js";
import { runInProcess } from "../../../support/process/cli.js";

const folder = await temporaryFolder("score-refusals");

it("names both things that --min-probability takes", async () => {
  for (const text of ["hi", "", "1.5"]) {
    const args = [
      "score",
      folder,
      "--model",
      "m",
      "--output",
      join(folder, "out"),
      "--min-probability",
      text,
    ];
    const { code, stderr } = await runInProcess(args);
    assert.equal(code, 2);
    assert.match(stderr, /neither a number from 0 to 1 nor 'thresholds'/);
  }
});

it("tells a folder without a scoring from a scoring that is not complete", async () => {
  const pictures = join(folder, "pictures");
  await mkdir(pictures);
  const { code, stderr } = await runInProcess(["scores", "cat", pictures]);
  assert.equal(code, 1, stderr);
  assert.match(stderr, /pictures is not the output of a scoring/);
});
