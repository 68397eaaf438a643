/**
 * `npm run check:infra`: checks what is in infra/ as far as that can be done without an engine or a cluster, prints a line for each
 * file, and ends with 1 where anything is wrong. No image is built and nothing is started. Our own checks run everywhere, those of the
 * chart on test/golden/helm-chart/, which Helm has rendered. Helm, kubeconform, promtool, hadolint and `docker compose` run where
 * they are: see check-tools.ts.
 */
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { isDeepStrictEqual } from "node:util";
import type { AnySchema } from "ajv";
import { manifestProblems, readManifests, readYaml, valuesProblems } from "./check-chart.js";
import { composeProblems, overlay, readCompose } from "./check-compose.js";
import { dockerfileProblems } from "./check-dockerfile.js";
import { chartCases, lintArguments, renderedSourcesHash, templateArguments } from "./render-chart.js";
import { checkBySchemas, runTool, toolVersion, type ToolAnswer } from "./check-tools.js";

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
      : ["the chart has changed since. Render it again: node test/golden/helm-chart/render-chart.mjs"],
  );
  for (const name of await chartCases(goldenFolder)) {
    const merged = overlay(await readYaml(path.join(goldenFolder, `${name}.values.yaml`)), values);
    const manifests = readManifests(await readFile(path.join(goldenFolder, `${name}.yaml`), "utf8"));
    report(`chart: ${name}`, [...valuesProblems(merged, schema), ...manifestProblems(manifests)]);
  }
}

/** Says what a program found, or why it was not run. */
function reportTool(what: string, answer: ToolAnswer): void {
  if ("problems" in answer) report(what, answer.problems);
  else console.log(`--   ${what}: not run, ${answer.notRun}`);
}

/** Helm renders each case as its golden was rendered, and the schemas of Kubernetes accept it. */
async function checkChartByTools(): Promise<void> {
  for (const name of await chartCases(goldenFolder)) {
    const values = path.join(goldenFolder, `${name}.values.yaml`);
    const lint = lintArguments(chartFolder, values);
    reportTool(`helm lint --strict: ${name}`, runTool({ program: "helm", args: lint }));
    const template = runTool({ program: "helm", args: templateArguments(chartFolder, values) });
    reportTool(`helm template: ${name}`, template);
    const golden = await readFile(path.join(goldenFolder, `${name}.yaml`), "utf8");
    if ("output" in template) {
      const isSame = isDeepStrictEqual(readManifests(template.output), readManifests(golden));
      report(`helm template: ${name} is the golden`, isSame ? [] : ["Helm renders other manifests"]);
    }
    reportTool(`kubeconform -strict: ${name}`, checkBySchemas(golden));
  }
}

function checkRulesByTools(): void {
  const folder = inRepo("infra/monitoring");
  for (const args of [
    ["check", "rules", "--lint=all", "--lint-fatal", "alerts.yaml"],
    ["test", "rules", "alerts.test.yaml"],
  ]) {
    reportTool(`promtool ${args.join(" ")}`, runTool({ program: "promtool", args, folder }));
  }
}

for (const program of ["helm", "kubeconform", "promtool", "hadolint", "docker"]) {
  const version = toolVersion(program);
  if (version !== undefined) console.log(`with ${program}: ${version}`);
}
await checkCompose();
await checkDockerfiles();
await checkChart();
await checkChartByTools();
checkRulesByTools();
const dockerfiles = ["coordinator", "worker", "worker-gpu"].map((name) => `infra/docker/${name}.Dockerfile`);
reportTool("hadolint", runTool({ program: "hadolint", args: dockerfiles, folder: root }));
reportTool(
  "docker compose config",
  runTool({
    program: "docker",
    args: ["compose", "-f", "infra/compose/compose.yaml", "config", "--quiet"],
    folder: root,
  }),
);
process.exitCode = failed ? 1 : 0;
