import assert from "node:assert/strict";
import { cp, mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { temporaryFolder } from "../../support/files/temp-folder.js";
import { drawDataset, writeFiles } from "../../support/images/dataset.js";
import { storeWithTinyBackbone, tinyBackbone } from "../../support/models/tiny-backbone.js";
import { trommel } from "../../support/process/cli.js";

/** A stage that no table names, added to a copy of the built packages: one entry in the table, and one file. */

const entry = `
  survey: {
    queue: "reduce",
    unit: "one",
    subject: "run",
    runsOn: "reduce",
    counts: "jobs",
    consumes: "projection",
    produces: "survey",
    waitsFor: "projection",
    about: "Notes what the store has when it runs",
  },`;

const file = `
export async function survey(id, { store }) {
  const has = async (key) => (await store.head(\`runs/\${id}/\${key}\`)) !== undefined;
  const seen = {
    id,
    projection: await has("projection.safetensors"),
    head: await has("head/weights.safetensors"),
  };
  await store.put(\`runs/\${id}/survey.json\`, Buffer.from(JSON.stringify(seen)));
  return { images: 0, failed: 0 };
}
`;

const folder = await temporaryFolder("added-stage");
const repository = fileURLToPath(new URL("../../../../", import.meta.url));

/** @returns the command of a copy of the built packages, whose dependencies are those of this repository */
async function copyPackages(): Promise<{ packages: string; bin: string }> {
  const packages = join(folder, "packages");
  const modules = join(folder, "node_modules");
  await mkdir(join(modules, "@trommel"), { recursive: true });
  for (const name of await readdir(join(repository, "packages"))) {
    const from = join(repository, "packages", name);
    for (const part of ["package.json", "dist"])
      await cp(join(from, part), join(packages, name, part), { recursive: true });
    if (name !== "trommel") await symlink(join(packages, name), join(modules, "@trommel", name));
  }
  await cp(join(repository, "packages/trommel/bin"), join(packages, "trommel/bin"), { recursive: true });
  for (const name of await readdir(join(repository, "node_modules"))) {
    if (name === "@trommel" || name === "trommel" || name.startsWith(".")) continue;
    await symlink(join(repository, "node_modules", name), join(modules, name));
  }
  return { packages, bin: join(packages, "trommel/bin/trommel.js") };
}

describe("a stage that is added", () => {
  it("runs in a worker, at its place in the flow, for followers to see, by one entry and one file", async () => {
    const { packages, bin } = await copyPackages();
    const table = join(packages, "common/dist/jobs/pipeline.js");
    const before = (await readFile(table, "utf8")).split("\n    train: {");
    assert.equal(before.length, 2, "the table has one entry for train");
    await writeFile(table, before.join(`${entry}\n    train: {`));
    await writeFile(join(packages, "gpu-worker/dist/stages/survey.js"), file);

    const store = await storeWithTinyBackbone(folder);
    await writeFiles(join(folder, "labelled"), await drawDataset(["a", "b"], { to: 8 }));
    const train = ["train", join(folder, "labelled"), "--backbone", tinyBackbone.name, "--run", "surveyed"];
    const options = ["--store", store, "--workers", "1", "--head", "se", "--epochs", "2", "--views", "1"];
    const { code, stderr } = await trommel([...train, ...options], { bin });

    assert.equal(code, 0, stderr);
    assert.match(stderr, /solve 1\/1 jobs, survey 1\/1 jobs, train 2\/2 epochs, bundle 1\/1 jobs/);
    const seen: unknown = JSON.parse(await readFile(join(store, "runs/surveyed/survey.json"), "utf8"));
    assert.deepEqual(seen, { id: "surveyed", projection: true, head: false });
  });
});
