/**
 * `node infra/checks/install-tools.mjs <folder>` builds the programs that `npm run check:infra` runs, in the versions that it was last
 * run with, and puts Kubernetes' schemas next to them. It needs Go and pip, and takes some minutes. Then:
 *
 *     TROMMEL_INFRA_TOOLS=<folder> npm run check:infra
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

const programs = [
  {
    module: "helm.sh/helm/v3/cmd/helm@v3.20.2",
    flags: "-X helm.sh/helm/v3/internal/version.version=v3.20.2",
  },
  { module: "github.com/yannh/kubeconform/cmd/kubeconform@v0.8.0", flags: "-X main.version=v0.8.0" },
  // Prometheus 3.13.2.
  {
    module: "github.com/prometheus/prometheus/cmd/promtool@v0.313.2",
    flags: "-X github.com/prometheus/common/version.Version=3.13.2",
  },
];
/** The package of PyPI that carries Kubernetes' own schemas, with additional properties refused. */
const schemas = { package: "kubernetes-validate==1.37.0", folder: "v1.37.0-local-strict" };

const [given] = process.argv.slice(2);
if (given === undefined) {
  console.error("cannot install the tools: no folder is given. Name one, such as .trommel/infra-tools");
  process.exit(2);
}
const folder = path.resolve(given);
mkdirSync(path.join(folder, "schemas"), { recursive: true });

// A module of their own builds them: `go install` refuses Prometheus, whose own module replaces another.
const module = mkdtempSync(path.join(tmpdir(), "trommel-tools-"));
const go = (...args) => execFileSync("go", args, { cwd: module, stdio: "inherit" });
try {
  for (const { module: name, flags } of programs) {
    console.log(name);
    rmSync(path.join(module, "go.mod"), { force: true });
    go("mod", "init", "tools.example");
    go("get", name);
    const [program] = name.split("@");
    // The tag leaves the clouds whose machines Prometheus can find out of promtool.
    go("build", "-tags", "remove_all_sd", "-ldflags", `-s -w ${flags}`, "-o", `${folder}/`, program);
  }
} finally {
  rmSync(module, { recursive: true, force: true });
}

console.log(schemas.package);
const unpacked = mkdtempSync(path.join(tmpdir(), "trommel-schemas-"));
try {
  execFileSync("pip", ["install", "--quiet", "--no-deps", "--target", unpacked, schemas.package], {
    stdio: "inherit",
  });
  const source = path.join(unpacked, "kubernetes_validate/kubernetes-json-schema", schemas.folder);
  for (const name of readdirSync(source)) {
    // The package resolves references from an address of its own: let them lead to the file next to it.
    const text = readFileSync(path.join(source, name), "utf8");
    const schema = JSON.parse(text.replaceAll('"/api/_definitions.json#', '"_definitions.json#'));
    delete schema.$id;
    writeFileSync(path.join(folder, "schemas", name), JSON.stringify(schema));
  }
} finally {
  rmSync(unpacked, { recursive: true, force: true });
}
