/**
 * Renders infra/helm/trommel with each *.values.yaml of this folder by `helm template`, and writes what comes out and a hash of what
 * went in: the goldens that the chart's tests read on machines without Helm. Run it after each change of the chart:
 *
 *     TROMMEL_INFRA_TOOLS=<folder> node test/golden/helm-chart/render-chart.mjs
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const goldens = path.dirname(fileURLToPath(import.meta.url));
const chart = path.resolve(goldens, "../../../infra/helm/trommel");
const own = path.join(process.env.TROMMEL_INFRA_TOOLS ?? "", "helm");
const helm = existsSync(own) ? own : "helm";

/** The least that the chart takes; without it Helm renders for the version that it was built for. */
const kubeVersion = "1.27.0";

const hash = createHash("sha256");
const add = (file) => hash.update(readFileSync(file));
for (const name of readdirSync(path.join(chart, "templates")).sort())
  add(path.join(chart, "templates", name));
add(path.join(chart, "Chart.yaml"));
add(path.join(chart, "values.yaml"));

const ending = ".values.yaml";
for (const file of readdirSync(goldens).sort()) {
  if (!file.endsWith(ending)) continue;
  const values = path.join(goldens, file);
  add(values);
  const args = [
    "template",
    "demo",
    chart,
    "--namespace",
    "sorting",
    "--kube-version",
    kubeVersion,
    "--values",
    values,
  ];
  writeFileSync(
    path.join(goldens, `${file.slice(0, -ending.length)}.yaml`),
    execFileSync(helm, args, { encoding: "utf8" }),
  );
}
writeFileSync(path.join(goldens, "sources.sha256"), `${hash.digest("hex")}\n`);
