/**
 * A process for each test file costs more than most unit tests themselves: what they import is loaded again and again. So unit
 * tests share processes, some two dozen files each, where nothing in a file is about its process.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");
const folder = path.join(root, ".trommel/test-groups");
const filesPerGroup = 24;
/** Milliseconds that a file may have taken and share a process all the same: a long one would make the others wait. */
const sharedAtMostMs = 4000;

/** Hooks of a whole file would be those of all files in the process; the rest looks at the process or changes it. */
const needsOwnProcess =
  /^(?:before|beforeEach|afterEach)\(|withVariables|\bprocess\.(?:chdir|cwd|env|exitCode|kill|listenerCount|memoryUsage|on|once|pid|stderr|stdout)\b/mu;

/**
 * @param {readonly string[]} files paths below test/dist
 * @param {(file: string) => number} durationOf milliseconds that a file took
 * @returns {{ path: string, ms: number }[]} what the test runner is given: files, and modules that import several of them
 */
export function groupTests(files, durationOf) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const shared = files.filter((file) => mayShare(file) && durationOf(file) <= sharedAtMostMs);
  const count = Math.ceil(shared.length / filesPerGroup);
  const groups = Array.from({ length: count }, (_, number) =>
    shared.filter((__, at) => at % count === number),
  );
  const alone = files.filter((file) => !shared.includes(file));
  return [
    ...alone.map((file) => ({ path: path.join("test/dist", file), ms: durationOf(file) })),
    ...groups.map((group, number) => ({
      path: writeGroup(group, number),
      ms: group.reduce((sum, file) => sum + durationOf(file), 0),
    })),
  ];
}

function mayShare(file) {
  if (!file.startsWith("unit/")) return false;
  const source = path.join(root, "test", file.replace(/\.js$/u, ".ts"));
  return !needsOwnProcess.test(readFileSync(source, "utf8"));
}

function writeGroup(files, number) {
  const name = path.join(folder, `${number}.mjs`);
  writeFileSync(name, files.map((file) => `import "../../test/dist/${file}";\n`).join(""));
  return path.relative(root, name);
}
