/**
 * `npm run check:infra`: checks what stands in infra/ as far as that can be done without an engine or a cluster, prints
 * a line for each file, and ends with 1 where anything is wrong. No image is built here and nothing is started. The
 * chart's templates are checked as test/golden/helm-chart/ renders them; where `helm`, `hadolint` or `docker compose` is
 * on the PATH it is run as well.
 */
import { spawnSync } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import type { AnySchema } from "ajv";
import {
  manifestProblems,
  readManifests,
  readYaml,
  renderedSourcesHash,
  valuesProblems,
} from "./check-chart.js";
import { composeProblems, overlay, readCompose } from "./check-compose.js";
import { dockerfileProblems } from "./check-dockerfile.js";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../../..");
const inRepo = (...parts: string[]): string => path.join(root, ...parts);
const chartFolder = inRepo("infra/helm/trommel");
const goldenFolder = inRepo("test/golden/helm-chart");

let failed = false;

function report(what: string, problems: readonly string[]): void {
  if (problems.length > 0) failed = true;
  console.log(`${problems.length === 0 ? "ok  " : "FAIL"} ${what}`);
  for (const problem of problems) console.log(`       ${problem}`);
}

async function checkCompose(): Promise<void> {
  const base = readCompose(await readFile(inRepo("infra/compose/compose.yaml"), "utf8"));
  const gpu = readCompose(await readFile(inRepo("infra/compose/compose.gpu.yaml"), "utf8"));
  report("compose.yaml", composeProblems(base));
  report("compose.gpu.yaml over compose.yaml", composeProblems(overlay(gpu, base)));
}

async function checkDockerfiles(): Promise<void> {
  for (const name of await readdir(inRepo("infra/docker"))) {
    if (!name.endsWith("Dockerfile")) continue;
    report(name, dockerfileProblems(await readFile(inRepo("infra/docker", name), "utf8"), root));
  }
}

async function checkChart(): Promise<void> {
  const schema = JSON.parse(
    await readFile(path.join(chartFolder, "values.schema.json"), "utf8"),
  ) as AnySchema;
  const values = await readYaml(path.join(chartFolder, "values.yaml"));
  report("chart: values.yaml by values.schema.json", valuesProblems(values, schema));
  const rendered = (await readFile(path.join(goldenFolder, "sources.sha256"), "utf8")).trim();
  const isCurrent = rendered === (await renderedSourcesHash(chartFolder, goldenFolder));
  report(
    "chart: the rendered goldens are of this chart",
    isCurrent
      ? []
      : ["the chart has changed since. Render it again: see test/golden/helm-chart/render-chart.go"],
  );
  for (const name of ["default", "gpu", "fixed-size"]) {
    const merged = overlay(await readYaml(path.join(goldenFolder, `${name}.values.yaml`)), values);
    const manifests = readManifests(await readFile(path.join(goldenFolder, `${name}.yaml`), "utf8"));
    report(`chart: ${name}`, [...valuesProblems(merged, schema), ...manifestProblems(manifests)]);
  }
}

/** Runs a linter where the machine has it, and says where it has not. */
function checkWithTool(program: string, args: readonly string[], isThere: readonly string[]): void {
  if (spawnSync(program, isThere, { stdio: "ignore" }).status !== 0) {
    console.log(`--   ${program} ${args[0] ?? ""}: not run, it is not on this machine`);
    return;
  }
  const ended = spawnSync(program, args, {
    cwd: root,
    encoding: "utf8",
    env: { ...process.env, TROMMEL_REDIS_PASSWORD: "x", TROMMEL_S3_SECRET_KEY: "xxxxxxxx" },
  });
  report(
    `${program} ${args[0] ?? ""}`,
    ended.status === 0 ? [] : `${ended.stdout}${ended.stderr}`.trim().split("\n"),
  );
}

await checkCompose();
await checkDockerfiles();
await checkChart();
const dockerfiles = ["coordinator", "worker", "worker-gpu"].map((name) => `infra/docker/${name}.Dockerfile`);
checkWithTool(
  "docker",
  ["compose", "-f", "infra/compose/compose.yaml", "config", "--quiet"],
  ["compose", "version"],
);
checkWithTool("hadolint", dockerfiles, ["--version"]);
checkWithTool("helm", ["lint", "infra/helm/trommel", "--set", "redis.password=x"], ["version"]);
process.exitCode = failed ? 1 : 0;
