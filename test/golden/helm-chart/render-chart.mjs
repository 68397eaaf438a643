/**
 * Renders infra/helm/trommel with each *.values.yaml of this folder by `helm template`, and writes what comes out and a hash of what
 * went in: the goldens that the chart's tests read on machines without Helm. Run it after each change of the chart:
 *
 *     npm run build && TROMMEL_INFRA_TOOLS=<folder> node test/golden/helm-chart/render-chart.mjs
 */
import { writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { runTool } from "../../dist/infra/check-tools.js";
import { chartCases, renderedSourcesHash, templateArguments } from "../../dist/infra/render-chart.js";

const goldens = path.dirname(fileURLToPath(import.meta.url));
const chart = path.resolve(goldens, "../../../infra/helm/trommel");

for (const name of await chartCases(goldens)) {
  const args = templateArguments(chart, path.join(goldens, `${name}.values.yaml`));
  const { notRun, problems = [notRun], output } = runTool({ program: "helm", args });
  if (problems.length > 0) throw new Error(`cannot render ${name}: ${problems.join("\n")}`);
  writeFileSync(path.join(goldens, `${name}.yaml`), output);
}
writeFileSync(path.join(goldens, "sources.sha256"), `${await renderedSourcesHash(chart, goldens)}\n`);
