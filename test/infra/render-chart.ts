import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";

/** How goldens of the chart are rendered: once to write them, and again to compare them with what Helm makes of the chart now. */

/** The least version of Kubernetes that the chart takes; without it Helm renders for the version that it was built for. */
const kubeVersion = "1.27.0";

/** @param values a file */
export function templateArguments(chartFolder: string, values: string): readonly string[] {
  return ["template", "demo", chartFolder, "--namespace", "sorting", ...valuesFor(values)];
}

/** @param values a file */
export function lintArguments(chartFolder: string, values: string): readonly string[] {
  return ["lint", "--strict", chartFolder, ...valuesFor(values)];
}

function valuesFor(values: string): readonly string[] {
  return ["--kube-version", kubeVersion, "--values", values];
}

/** The cases of which goldens are rendered: the name of each file of values. */
export async function chartCases(goldenFolder: string): Promise<string[]> {
  const ending = ".values.yaml";
  const names = await readdir(goldenFolder);
  return names
    .filter((name) => name.endsWith(ending))
    .map((name) => name.slice(0, -ending.length))
    .sort();
}

/** A hash of all that goldens are rendered from; test/golden/helm-chart/render-chart.mjs writes it next to them. */
export async function renderedSourcesHash(chartFolder: string, goldenFolder: string): Promise<string> {
  const templates = (await readdir(path.join(chartFolder, "templates"))).sort();
  const cases = await chartCases(goldenFolder);
  const hash = createHash("sha256");
  for (const file of [
    ...templates.map((name) => path.join(chartFolder, "templates", name)),
    path.join(chartFolder, "Chart.yaml"),
    path.join(chartFolder, "values.yaml"),
    ...cases.map((name) => path.join(goldenFolder, `${name}.values.yaml`)),
  ]) {
    hash.update(await readFile(file));
  }
  return hash.digest("hex");
}
