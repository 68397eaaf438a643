/**
 * One version in one place: `version` in the root's package.json. This script compares everything that repeats it, and the
 * licence files that every package carries, and ends with 1 if anything differs. It also ends with 1 if the lockfile lacks
 * a package that another one names: `npm install` is silent about an optional one that the registry does not have, and
 * `npm ci` refuses that lockfile.
 *
 *   node infra/setup/align-packages.mjs                 compare (part of npm run check)
 *   node infra/setup/align-packages.mjs --write         make the rest follow the root's package.json
 *   node infra/setup/align-packages.mjs --set 0.2.0     set the version, then do the same
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");
const folders = readdirSync(path.join(root, "packages"));

const read = (file) => readFileSync(path.join(root, file), "utf8");
const withJson = (text, change) => {
  const content = JSON.parse(text);
  change(content);
  return `${JSON.stringify(content, null, 2)}\n`;
};

/** Sets a package's own version and those of its siblings. */
function setVersions(description, version, siblings) {
  description.version = version;
  for (const kind of ["dependencies", "optionalDependencies"]) {
    for (const name of Object.keys(description[kind] ?? {})) {
      if (siblings.has(name)) description[kind][name] = version;
    }
  }
}

/** Every file that repeats something, with the text that it should have. */
function alignedFiles(version) {
  const manifests = folders.map((folder) => `packages/${folder}/package.json`);
  const siblings = new Set(manifests.map((file) => JSON.parse(read(file)).name));
  const json = (file, change) => [file, withJson(read(file), change)];
  const text = (file, pattern) => [file, read(file).replace(pattern, `$1${version}`)];
  const copies = ["LICENSE", "NOTICE"].flatMap((name) =>
    folders.map((folder) => [`packages/${folder}/${name}`, read(name)]),
  );
  return [
    ...manifests.map((file) => json(file, (description) => setVersions(description, version, siblings))),
    json("package-lock.json", (lock) => {
      lock.version = version;
      for (const at of ["", ...folders.map((folder) => `packages/${folder}`)]) {
        setVersions(lock.packages[at], version, siblings);
      }
    }),
    text("infra/compose/compose.yaml", /(image: trommel\/[\w-]+:)\S+/g),
    text("infra/compose/compose.gpu.yaml", /(image: trommel\/[\w-]+:)\S+/g),
    text("infra/helm/trommel/Chart.yaml", /^((?:version|appVersion): )\S+/gm),
    text("infra/helm/trommel/values.yaml", /(repository: trommel\/[\w-]+, tag: )[^ }]+/g),
    ...copies,
  ];
}

/** Every dependency of the lockfile that no entry of it satisfies, as "vite → fsevents". Peers may be missing. */
function unlockedDependencies() {
  const { packages } = JSON.parse(read("package-lock.json"));
  const isLocked = (at, name) => {
    for (let folder = at; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf("/")))) {
      if (packages[`${folder}${folder === "" ? "" : "/"}node_modules/${name}`] !== undefined) return true;
      if (folder === "") return false;
    }
  };
  return Object.entries(packages).flatMap(([at, { dependencies, devDependencies, optionalDependencies }]) =>
    Object.keys({ ...dependencies, ...devDependencies, ...optionalDependencies })
      .filter((name) => !isLocked(at, name))
      .map((name) => `${at === "" ? "package.json" : at.replace(/^.*node_modules\//, "")} → ${name}`),
  );
}

function textOf(file) {
  try {
    return read(file);
  } catch (thrown) {
    if (thrown.code === "ENOENT") return undefined;
    throw thrown;
  }
}

const { values } = parseArgs({ options: { write: { type: "boolean" }, set: { type: "string" } } });
if (values.set !== undefined) {
  if (!/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(values.set)) {
    process.stderr.write(`cannot set the version: "${values.set}" is not one. Give it as 1.2.3\n`);
    process.exit(2);
  }
  const description = withJson(read("package.json"), (content) => (content.version = values.set));
  writeFileSync(path.join(root, "package.json"), description);
}
const { version } = JSON.parse(read("package.json"));
const differing = alignedFiles(version).filter(([file, wanted]) => textOf(file) !== wanted);
if (values.write || values.set !== undefined) {
  for (const [file, wanted] of differing) {
    writeFileSync(path.join(root, file), wanted);
    process.stderr.write(`wrote ${file}\n`);
  }
} else if (differing.length > 0) {
  const names = differing.map(([file]) => file).join(", ");
  process.stderr.write(
    `cannot accept the packages: ${names} differ from version ${version} or from the root's LICENSE and NOTICE. ` +
      'Run "node infra/setup/align-packages.mjs --write"\n',
  );
  process.exitCode = 1;
}
const unlocked = unlockedDependencies();
if (unlocked.length > 0) {
  process.stderr.write(
    `cannot accept package-lock.json: it lacks ${unlocked.join(", ")}, so that npm ci refuses it. ` +
      "Choose a version of the package before the arrow whose dependencies the registry has\n",
  );
  process.exitCode = 1;
}
