/** What each test file took in the last run on this machine; kept outside the repository's files. */
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");
const record = path.join(root, ".trommel/test-durations.json");

/** @returns {Record<string, number>} milliseconds by path below test/dist; empty before the first run */
export function readDurations() {
  try {
    return JSON.parse(readFileSync(record, "utf8"));
  } catch {
    return {};
  }
}

/** @param {ReadonlyMap<string, number>} measured milliseconds by path below test/dist */
export function keepDurations(measured) {
  const all = { ...readDurations(), ...Object.fromEntries(measured) };
  writeFileSync(record, `${JSON.stringify(all, null, 2)}\n`);
}

/** @param {string} file an absolute path @returns its path below test/dist, with forward slashes */
export function nameOf(file) {
  return path.relative(path.join(root, "test/dist"), file).split(path.sep).join("/");
}
