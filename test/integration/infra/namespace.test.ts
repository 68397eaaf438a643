import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { AnySchema } from "ajv";
import { z } from "zod";
import { manifestProblems, readManifests, readYaml, valuesProblems } from "../../infra/check-chart.js";
import { overlay, readCompose } from "../../infra/check-compose.js";

/** The name of a cluster that shares its Redis: in the keys that KEDA watches it is what the pods make of their environment. */

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../../../..");
const read = async (file: string): Promise<string> => readFile(path.join(root, file), "utf8");

/** What a process with that environment puts before each of its keys. */
async function prefixOf(environment: Readonly<Record<string, string>>): Promise<string> {
  const script = `import { queuePrefix } from "@trommel/common"; process.stdout.write(queuePrefix);`;
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "--eval", script], {
    cwd: root,
    env: { PATH: process.env["PATH"], ...environment },
  });
  return stdout;
}

const triggers = z.object({
  triggers: z.array(z.object({ metadata: z.looseObject({ listName: z.string() }) })),
});
const services = z.object({
  services: z.record(
    z.string(),
    z.looseObject({ image: z.string(), environment: z.record(z.string(), z.string()).default({}) }),
  ),
});

describe("a namespace", () => {
  for (const [golden, expected] of [
    ["default", "trommel"],
    ["named", "trommel-blue"],
  ] as const) {
    it(`is in the keys that the chart's scaling watches: ${golden}`, async () => {
      const manifests = readManifests(await read(`test/golden/helm-chart/${golden}.yaml`));
      const environment = manifests.find(({ kind }) => kind === "ConfigMap")?.["data"];
      const prefix = await prefixOf(z.record(z.string(), z.string()).parse(environment));
      assert.equal(prefix, expected);
      const scaled = triggers.parse(manifests.find(({ kind }) => kind === "ScaledObject")?.spec);
      const watched = scaled.triggers.map(({ metadata }) => metadata.listName);
      assert.equal(watched.length, 20);
      for (const key of watched) assert.ok(key.startsWith(`${prefix}:`), key);
    });
  }

  it("fails the chart check where KEDA watches other keys than those of the pods", async () => {
    const text = await read("test/golden/helm-chart/named.yaml");
    assert.deepEqual(manifestProblems(readManifests(text)), []);
    for (const edited of [
      text.replaceAll("trommel-blue:", "trommel:"),
      text.replace("TROMMEL_NAMESPACE: ", "TROMMEL_NAME: "),
    ])
      assert.match(manifestProblems(readManifests(edited)).join("\n"), /it watches trommel/);
  });

  it("is a legal name in the chart's values", async () => {
    const schema = JSON.parse(await read("infra/helm/trommel/values.schema.json")) as AnySchema;
    const values = await readYaml(path.join(root, "infra/helm/trommel/values.yaml"));
    const problemsOf = (namespace: string): string[] =>
      valuesProblems(overlay({ redis: { namespace } }, values), schema);
    for (const legal of ["", "blue", "a-1"]) assert.deepEqual(problemsOf(legal), [], legal);
    for (const wrong of ["Blue", "a b", "-a", "a:b"]) assert.match(problemsOf(wrong).join(), /namespace/);
  });

  it("reaches all of compose's processes from .env, and none is the default", async () => {
    const text = await read("infra/compose/compose.yaml");
    for (const [variables, expected] of [
      [{}, "trommel"],
      [{ TROMMEL_NAMESPACE: "blue" }, "trommel-blue"],
    ] as const) {
      const own = Object.values(services.parse(readCompose(text, variables)).services).filter(({ image }) =>
        image.startsWith("trommel/"),
      );
      assert.equal(own.length, 3);
      for (const { environment } of own)
        assert.equal(await prefixOf({ TROMMEL_NAMESPACE: environment["TROMMEL_NAMESPACE"] ?? "" }), expected);
    }
  });
});
