/**
 * `npm run check:folders`: fails where a folder of the sources or of the tests holds more files than one takes in at a
 * glance. Tables of like things may be long; they are named here, each with what it is a table of.
 */
import { readdirSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");
const mostFiles = 15;

const tables = {
  "packages/gpu-worker/src/backbone/zoo": "one file per architecture",
  "packages/gpu-worker/src/stages": "one file per stage of the stage table",
  "test/golden": "expected values, each with the script that made it",
};
const skipped = new Set(["dist", "node_modules", "__pycache__"]);
/** Stores that earlier versions wrote: their folders are those of the format. */
const keptStores = "test/stores/";

const packages = readdirSync(path.join(root, "packages")).map((name) => `packages/${name}/src`);
const folders = [...packages, "test"].flatMap(withFoldersBelow);
const long = folders.filter(
  ({ name, files }) => files > mostFiles && !(name in tables) && !name.startsWith(keptStores),
);
for (const { name, files } of long)
  process.stderr.write(
    `${name} holds ${files} files, and at most ${mostFiles} are allowed. Divide it by subject, or name it in infra/checks/check-folders.mjs if it is a table of like things\n`,
  );
for (const name of Object.keys(tables)) {
  if (folders.some((folder) => folder.name === name)) continue;
  process.stderr.write(
    `infra/checks/check-folders.mjs names ${name}, which does not exist. Remove it there\n`,
  );
  process.exitCode = 1;
}
if (long.length > 0) process.exitCode = 1;

/** @param {string} name a folder below the root @returns it and all folders in it, each with its number of files */
function withFoldersBelow(name) {
  const entries = readdirSync(path.join(root, name), { withFileTypes: true });
  const inner = entries.filter((entry) => entry.isDirectory() && !skipped.has(entry.name));
  const files = entries.filter((entry) => entry.isFile()).length;
  return [{ name, files }, ...inner.flatMap((entry) => withFoldersBelow(`${name}/${entry.name}`))];
}
