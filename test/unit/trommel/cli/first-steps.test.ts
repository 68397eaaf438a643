import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { runInProcess } from "../../../support/process/cli.js";
import { temporaryFolder } from "../../../support/files/temp-folder.js";

const folder = await temporaryFolder("first-steps");

describe("a command of someone who has just begun", () => {
  it("says that a store does not exist, and that one has no run yet", async () => {
    const store = join(folder, "stor");
    assert.match((await runInProcess(["status", "--store", store])).stdout, /stor does not exist yet/);
    await mkdir(store);
    assert.match((await runInProcess(["status", "--store", store])).stdout, /no run in .*stor yet/);
  });

  it("says how to import each backbone that is missing", async () => {
    const pictures = join(folder, "pictures");
    await mkdir(pictures);
    const args = ["train", pictures, "--recipe", "tianchi-efficientnets", "--store", join(folder, "store")];
    const { stderr } = await runInProcess(args);
    const commands = [...stderr.matchAll(/'(trommel backbone import <file> --name [^']+)'/g)];
    const shown = await runInProcess(["recipe", "show", "tianchi-efficientnets", "--json"]);
    const { backbones } = JSON.parse(shown.stdout) as {
      backbones: { name: string; inputSize: number | null }[];
    };
    assert.ok(backbones.length > 1);
    assert.deepEqual(
      commands.map(([, command]) => command?.split(" --pooling")[0]),
      backbones.map(
        ({ name, inputSize }) =>
          `trommel backbone import <file> --name ${name}${inputSize === null ? "" : ` --size ${inputSize}`}`,
      ),
    );
  });
});
