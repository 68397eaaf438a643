/**
 * Builds the dashboard's page into `packages/trommel/dist/dashboard`, from which the server and the package take it. If nothing of
 * its sources has changed since the last build it does nothing.
 */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");
const source = path.join(root, "packages/trommel/dashboard");
const built = path.join(root, "packages/trommel/dist/dashboard");
const stampFile = path.join(root, "packages/trommel/dist/dashboard-sources.tsbuildinfo");

function fingerprint() {
  const hash = createHash("sha256");
  const names = readdirSync(source, { recursive: true, encoding: "utf8" })
    .filter((name) => !name.startsWith("dist") && statSync(path.join(source, name)).isFile())
    .sort();
  for (const name of names) hash.update(`${name}\0`).update(readFileSync(path.join(source, name)));
  return hash.update(readFileSync(path.join(root, "package-lock.json"))).digest("hex");
}

const wanted = fingerprint();
const isBuilt = existsSync(path.join(built, "index.html")) && existsSync(stampFile);
if (!isBuilt || readFileSync(stampFile, "utf8") !== wanted) {
  const { build } = await import("vite");
  await build({ configFile: path.join(source, "vite.config.js") });
  writeFileSync(stampFile, wanted);
}
