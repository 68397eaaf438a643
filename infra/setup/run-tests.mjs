/**
 * Runs the built tests of one tier (see test-tiers.mjs): `run-tests.mjs quick`, `rest` or `full` (both tiers, one after
 * the other). With further arguments it runs the tests of both tiers whose path holds one of them: `npm test -- store`.
 * The files that took longest in the last run on this machine start first. Node.js 20 takes no glob after --test, so the
 * files are listed here.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { groupTests } from "./group-tests.mjs";
import { readDurations } from "./test-durations.mjs";
import { tierOf, tiers } from "./test-tiers.mjs";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");
const built = path.join(root, "test/dist");
const setup = pathToFileURL(path.join(root, "infra/setup/")).href;

/** Without a known duration: these start first, for most of them start processes. */
const likelySlow = /(?:^|\/)(?:e2e|contract|integration|model|golden)\//u;

const [tier, ...wanted] = process.argv.slice(2);
const files = testFiles().filter((file) => wanted.length === 0 || wanted.some((part) => file.includes(part)));
const chosen = wanted.length > 0 || tier === "full" ? tiers : [tier];
const statuses = chosen
  .map((name) => files.filter((file) => tierOf(file) === name))
  .filter((list) => list.length > 0)
  .map(run);
if (statuses.length === 0) {
  process.stderr.write(`cannot run tests: no test file holds ${wanted.join(" or ")} in its path\n`);
  process.exit(1);
}
process.exit(statuses.find((status) => status !== 0) ?? 0);

/** Paths below test/dist of the tests whose source exists: a test that was removed may have left its build. */
function testFiles() {
  return readdirSync(built, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".test.js"))
    .filter((file) => existsSync(path.join(root, "test", file.replace(/\.js$/u, ".ts"))))
    .map((file) => file.split(path.sep).join("/"));
}

function run(list) {
  mkdirSync(path.join(root, ".trommel"), { recursive: true });
  const result = spawnSync(
    process.execPath,
    [
      "--test",
      "--test-concurrency=2",
      ...["--test-reporter=spec", "--test-reporter-destination=stdout"],
      ...[`--test-reporter=${setup}slowest-tests.mjs`, "--test-reporter-destination=stdout"],
      ...longestFirst(list),
    ],
    {
      cwd: root,
      stdio: "inherit",
      // Tests load ONNX Runtime themselves, too; that the worker sets this itself is tested without it.
      env: { ORT_DISABLE_TELEMETRY: "1", ...process.env },
    },
  );
  return result.status ?? 1;
}

/** Paths for the test runner; files that are asked for by name have a process each. */
function longestFirst(list) {
  const known = readDurations();
  const guess = (file) => known[file] ?? (likelySlow.test(file) ? 2000 : 0);
  const given =
    wanted.length > 0
      ? list.map((file) => ({ path: path.join("test/dist", file), ms: guess(file) }))
      : groupTests(list, guess);
  return given
    .sort((left, right) => right.ms - left.ms || (left.path < right.path ? -1 : 1))
    .map(({ path: name }) => name);
}
