import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { runInProcess } from "../../../support/process/cli.js";
import { temporaryFolder } from "../../../support/files/temp-folder.js";

const folder = await temporaryFolder("recipe-errors");
const pictures = join(folder, "none");

async function messageOf(content: string | Buffer, ...flags: string[]): Promise<string> {
  await writeFile(join(folder, "mine.yaml"), content);
  const args = ["train", pictures, "--recipe", "./mine.yaml", "--store", join(folder, "store"), ...flags];
  const { code, stderr } = await runInProcess(args, { cwd: folder });
  assert.equal(code, 2, stderr);
  return stderr;
}

describe("a recipe with an unknown field", () => {
  it("is refused with its path and line, the field that was meant, and the legal ones", async () => {
    const nested = await messageOf("backbones: [a]\ntraining:\n  epochs: 3\n  batchsize: 4\n");
    assert.match(
      nested,
      /mine\.yaml, line 4: training\.batchsize is unknown \(did you mean batchSize\?\); legal/,
    );
    assert.match(nested, /legal are epochs, batchSize, .*optimizer, schedule/);
    const atRoot = await messageOf("backbones: [a]\n\nviewz: { count: 2 }\n");
    assert.match(atRoot, /line 3: viewz is unknown \(did you mean views\?\); legal are .*backbones, /);
    const listed = await messageOf("backbones: [{ name: a, inputsize: 3 }]\n");
    assert.match(listed, /backbones\.0\.inputsize is unknown|backbones\.0: /);
    const strange = await messageOf("backbones: [a]\nlicence: MIT\n");
    assert.doesNotMatch(strange, /did you mean/);
  });
});

describe("a recipe with an illegal value", () => {
  it("is refused for it alone, and not for what follows from it", async () => {
    const message = await messageOf("backbones: [a]\n", "--epochs", "-3");
    assert.match(message, /training\.epochs: .*\(given -3\)/);
    assert.doesNotMatch(message, /warm/);
    assert.match(
      await messageOf("backbones: [a]\ntraining: { epochs: 2, schedule: { warmupEpochs: 2 } }\n"),
      /a warm-up has fewer epochs/,
    );
  });
});

describe("a file that is no recipe", () => {
  it("is refused with what to write instead", async () => {
    for (const [content, why] of [
      ["", /it is empty\. Write YAML such as 'backbones: \[/],
      ["# nothing yet\n", /it is not a mapping of fields\. Write YAML/],
      [Buffer.of(0xff, 0xd8, 0xff, 0xe0), /it is not text in UTF-8\. Write YAML/],
      [Buffer.from("PK\0\0"), /it is not text in UTF-8\. Write YAML/],
    ] as const)
      assert.match(await messageOf(content), why);
  });
});
